import { useEffect, useRef, type RefObject } from "react";

/** How long the text stays where a user has scrolled it. */
const LEFT_ALONE_MS = 4_000;

/**
 * Keeps the spoken part in view, inside its box only, while the recording plays. Not against the
 * user: not after they scrolled, and not while the keyboard's focus is in the box. (A click on a
 * part's time leaves no visible focus, so the text goes on following.)
 */
export function useFollowed(
  box: RefObject<HTMLElement | null>,
  spoken: number,
  isPlaying: () => boolean,
): void {
  const scrolledAt = useRef(-Infinity);

  useEffect(() => {
    const element = box.current;
    const scrolled = () => (scrolledAt.current = performance.now());
    for (const kind of SCROLLING) element?.addEventListener(kind, scrolled, { passive: true });
    return () => {
      for (const kind of SCROLLING) element?.removeEventListener(kind, scrolled);
    };
  }, [box]);

  useEffect(() => {
    const isTheUsers =
      performance.now() - scrolledAt.current < LEFT_ALONE_MS ||
      box.current?.matches(":is(:focus-visible, :has(:focus-visible))");
    if (spoken !== -1 && isPlaying() && !isTheUsers) scrollTo(box.current, spoken);
  }, [box, spoken, isPlaying]);
}

const SCROLLING = ["wheel", "touchmove"] as const;

function scrollTo(box: HTMLElement | null, index: number): void {
  const part = box?.querySelectorAll("li")[index];
  if (box === null || part === undefined) return;
  const top = part.offsetTop - (box.clientHeight - part.offsetHeight) / 2;
  const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  box.scrollTo({ top, behavior: isStill ? "instant" : "smooth" });
}
