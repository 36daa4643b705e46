export { AudioPlayback, ExtensionPoint, PipelineState, RunAnywhere, SDKEnvironment, VoicePipeline } from "@runanywhere/web";
