export { PipecatClient } from "@pipecat-ai/client-js";
