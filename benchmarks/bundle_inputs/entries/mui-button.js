import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { Button } from "@mui/material";

/** Show a button in `place`; return what takes it away. */
export function show(place, text, onClick) {
  const root = createRoot(place);
  root.render(createElement(Button, { onClick, variant: "contained" }, text));
  return () => root.unmount();
}
