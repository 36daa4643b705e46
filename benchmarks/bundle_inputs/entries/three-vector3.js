export { Vector3 } from "three";
