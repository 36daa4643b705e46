export { DeepgramClient } from "@deepgram/sdk";
