// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 stream as the engine keeps it (RFC 9113 section 5.1): flat, small, without closures; a tunnel may hold
// hundreds that sleep.

/** State of a stream. Shells read it and keep what is theirs in `userData` and `begun`; only the engine writes the rest. */
export class H2Stream {
  readonly id: number;
  /** The shell's own. */
  userData: unknown = undefined;
  /** The shell's own, too: it has done something for the stream that others notice, as dialling. Who resets it then is no flood so soon. */
  begun = false;
  /** We sent END_STREAM. */
  localEnded = false;
  /** The peer sent END_STREAM. */
  remoteEnded = false;
  /** Ended on both sides or reset: the engine has forgotten it. */
  closed = false;

  /** Octets we may send, without regard to the connection's window; below 0 after the peer shrank it. */
  sendWindow: number;
  /** Octets the peer may still send. */
  recvWindow: number;
  /** Window we grant to a reader that keeps up. */
  recvTarget: number;
  /** Octets handed to the shell that it has not reported as consumed. */
  undelivered = 0;

  /** A final (not 1xx) header section went out, or came in. */
  headersSent = false;
  headersReceived = false;
  /** Octets of content still expected by Content-Length; -1 if it was not given. */
  contentLeft = -1;
  /** The request was a HEAD or CONNECT: Content-Length in the answer means nothing. */
  bodyless = false;
  /** Content went one way or the other. */
  carried = false;
  /** Who waits for what to send: 0 nobody, 1 the stream's window, 2 the connection's. */
  waiting = 0;
  /** Neighbours in the list of those who wait for the connection's window. */
  previous: H2Stream | null = null;
  next: H2Stream | null = null;

  constructor(id: number, sendWindow: number, recvWindow: number) {
    this.id = id;
    this.sendWindow = sendWindow;
    this.recvWindow = recvWindow;
    this.recvTarget = recvWindow;
  }
}
