export { chunk, debounce, groupBy, merge } from "lodash-es";
