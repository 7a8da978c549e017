// Asking, acting, and listening. What a server says of an error is shown as it is.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body.error || `the server answered ${response.status}`);
  return body;
}

async function sent(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused(0, "the server does not answer");
  }
  return answered(response);
}

/** Return what the API tells at `path`; `query` becomes its parameters. */
export function get(path, query = {}) {
  const search = new URLSearchParams(query).toString();
  return sent(`api/${path}${search ? `?${search}` : ""}`, {});
}

/** Do something, and return what was done. */
export function post(path, body) {
  return sent(`api/${path}`, {
    method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-Sentinel-Action": "1" },
  });
}

export const pictureUrl = (stream, id) => `api/picture?${new URLSearchParams({ stream, id })}`;

const RETRY_MS = 1000;

/**
 * Listens to what happens. A lost connection is taken up again after the last entry that was heard, so that nothing is
 * missed; where that is not possible `onreset` is called, and everything has to be asked for anew.
 */
export class Live {
  constructor({ onevent, onbeat, ontrouble, onreset }) {
    Object.assign(this, { onevent, onbeat, ontrouble, onreset });
    this.last = "";
    this.source = null;
  }

  /** Listen after the entry `at`, unless it listens already. */
  start(at) {
    if (this.source) return;
    this.last = this.last || at;
    this.open();
  }

  open() {
    const source = new EventSource(`api/live?${new URLSearchParams({ after: this.last })}`);
    this.source = source;
    const heard = (event) => { if (event.lastEventId) this.last = event.lastEventId; };
    source.addEventListener("event", (event) => { heard(event); this.onevent(JSON.parse(event.data)); });
    source.addEventListener("beat", (event) => { const said = JSON.parse(event.data); this.last = said.at || this.last; this.onbeat(said); });
    source.addEventListener("trouble", (event) => this.ontrouble(JSON.parse(event.data).reason));
    source.addEventListener("reset", (event) => { heard(event); this.onreset(); });
    source.onerror = () => {
      this.ontrouble("the connection is lost");
      source.close();
      if (this.source === source) {
        this.source = null;
        setTimeout(() => { if (!this.source) this.open(); }, RETRY_MS);
      }
    };
  }
}
