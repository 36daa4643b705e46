export { debounceTime, fromEvent, map, switchMap } from "rxjs";
