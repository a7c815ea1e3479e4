/** Numbers and names as a person reads them. Pure. */

/** Seconds as m:ss, or h:mm:ss from an hour on. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [
    Math.floor(whole / 3600),
    Math.floor(whole / 60) % 60,
    String(whole % 60).padStart(2, "0"),
  ];
  return hours === 0
    ? `${minutes}:${rest}`
    : `${hours}:${String(minutes).padStart(2, "0")}:${rest}`;
}

export function recordingName(startedAt: Date, extension: string): string {
  const two = (part: number) => String(part).padStart(2, "0");
  const day = `${startedAt.getFullYear()}-${two(startedAt.getMonth() + 1)}-${two(startedAt.getDate())}`;
  const time = `${two(startedAt.getHours())}.${two(startedAt.getMinutes())}.${two(startedAt.getSeconds())}`;
  return `Recording ${day} ${time}.${extension}`;
}

/** "webm" of "audio/webm;codecs=opus". */
export function extensionOf(mimeType: string): string {
  const subtype = mimeType.split(";")[0]?.split("/")[1] ?? "";
  return subtype === "" ? "webm" : subtype;
}

/** The recording's name with another ending: "talk.mp3" becomes "talk.srt". */
export function withExtension(name: string, extension: string): string {
  return `${name.replace(/\.[^.]+$/, "")}.${extension}`;
}

/** A service's own words as a sentence: "the file is empty" becomes "The file is empty." */
export function sentence(words: string): string {
  const whole = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** "English" of "en"; a code that the browser does not know stays as it is. */
export function languageName(code: string): string {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
