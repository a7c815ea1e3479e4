import { useEffect, useRef, type RefObject } from "react";

/**
 * Where the element that has the focus goes away (a button of a state that is over, a removed job),
 * the focus goes to the heading of the same card, else to the nearest heading that is left: without
 * this whoever uses the keyboard would be back at the top of the page.
 */
export function useKeptFocus<T extends HTMLElement>(): RefObject<T | null> {
  const root = useRef<T>(null);

  useEffect(() => {
    const element = root.current;
    if (element === null) return;
    let path: HTMLElement[] = [];
    const remember = ({ target }: FocusEvent) => {
      path = headingsFor(target as HTMLElement, element);
    };
    const observer = new MutationObserver(() => {
      if (document.activeElement !== document.body) return;
      path.find(({ isConnected }) => isConnected)?.focus();
    });
    // The user put it elsewhere: nothing went away, and nothing is to be brought back.
    const forget = ({ target }: FocusEvent) =>
      setTimeout(() => {
        const isLeft = document.activeElement === document.body;
        if (isLeft && (target as HTMLElement).isConnected) path = [];
      });
    element.addEventListener("focusin", remember);
    element.addEventListener("focusout", forget);
    observer.observe(element, { childList: true, subtree: true });
    return () => {
      element.removeEventListener("focusin", remember);
      element.removeEventListener("focusout", forget);
      observer.disconnect();
    };
  }, []);

  return root;
}

/** Those that can take the focus, of what is around the element, from within outwards. */
function headingsFor(target: HTMLElement, root: HTMLElement): HTMLElement[] {
  const around: HTMLElement[] = [];
  for (let at: HTMLElement | null = target; at !== null && at !== root; at = at.parentElement) {
    const heading = at.querySelector<HTMLElement>(":is(h2, h3)[tabindex]");
    if (heading !== null) around.push(heading);
  }
  return around;
}
