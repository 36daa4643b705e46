// The same in a worker.
import { answers } from "./answers.js";

addEventListener("message", async ({ data }) => {
  try {
    postMessage(await answers(data));
  } catch (error) {
    postMessage({ error: String(error?.stack ?? error) });
  }
});
