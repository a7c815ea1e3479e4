import { Component, type ReactNode } from "react";

/** Says what is wrong where the page cannot be drawn, for example with functions that were not deployed. */
export class Broken extends Component<{ children: ReactNode }, { reason: string | null }> {
  override state: { reason: string | null } = { reason: null };

  static getDerivedStateFromError(error: unknown) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (this.state.reason === null) return this.props.children;
    return (
      <main className="page">
        <div className="broken" role="alert">
          {/* What had the focus is gone with the page. */}
          <h1 tabIndex={-1} ref={(heading) => heading?.focus()}>
            This page cannot show your transcriptions
          </h1>
          <p>
            Nothing is lost: the jobs go on without it. Check that the Convex functions are
            deployed, then load the page again.
          </p>
          <pre className="reason">{this.state.reason}</pre>
          <button type="button" className="button" onClick={() => window.location.reload()}>
            Load again
          </button>
        </div>
      </main>
    );
  }
}
