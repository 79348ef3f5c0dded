// SPDX-License-Identifier: Apache-2.0
// What somebody who only reads along learns of a connection's requests.

/** Why a connection is not read along any further. */
export type GaveUp =
  /** It begins as nothing of HTTP does. */
  | 'not_http'
  /** It breaks the protocol, or two parsers could read it differently. */
  | 'unreadable'
  /** CONNECT or another protocol: what follows is no HTTP/1. */
  | 'upgraded'
  /** More requests wait for their answers than are kept in mind. */
  | 'too_many';

/** Called synchronously, while bytes are shown. */
export interface HttpListener {
  /**
   * A request is over: its answer has ended, or will not come any more.
   * @param status 0 without an answer
   * @param startedAt as the clock said when its first octet was shown
   */
  onExchange(version: 1 | 2, method: string, status: number, startedAt: number): void;
  /** Once; nothing follows. */
  onGaveUp(reason: GaveUp): void;
}

/** One version of HTTP, both directions. Nothing is changed, kept or answered. */
export interface VersionWatch {
  request(buffer: Buffer, start: number, end: number): void;
  response(buffer: Buffer, start: number, end: number): void;
  /** The connection is over. */
  end(): void;
}
