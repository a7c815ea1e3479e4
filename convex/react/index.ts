export { indexedDbAudio, memoryAudio, type Audio, type AudioStorage } from "./audio";
export { ApiError, type StartOptions, type TranscriptFormat } from "./api";
export type { Action, TrackedJob } from "./entry";
export type { JobError, JobStatus, Segment, TranscriptionResult } from "./job";
export type { Connection } from "./poller";
export { localJobStorage, memoryJobStorage, type JobStorage, type StoredJob } from "./storage";
export {
  usePersistentTranscription,
  type PersistentTranscription,
  type PersistentTranscriptionOptions,
} from "./usePersistentTranscription";
