export { MicVAD } from "@ricky0123/vad-web/dist/real-time-vad";
