// SPDX-License-Identifier: Apache-2.0
// Writes a head as HTTP/1.1. From HTTP/1 whole runs of lines are copied as they came, for they were read strictly; what is for
// one hop only, and what frames the content, is always written anew.
import { STATUS_CODES } from 'node:http';
import { FieldKind, kindOfName } from '../http1/field-kind.ts';
import type { Http1Head } from '../http1/head.ts';
import type { HeadEdits } from './edits.ts';
import type { MessageHead } from './message.ts';

/** How content is delimited. */
export const Framing = {
  /** There is none, or it ends with the connection. */
  none: 0,
  length: 1,
  chunked: 2,
} as const;

/** Fields of one hop (RFC 9110 section 7.6.1), by kind. TE is not passed on to HTTP/1. */
export const HOP_KINDS: number =
  (1 << FieldKind.connection) |
  (1 << FieldKind.keepAlive) |
  (1 << FieldKind.proxyConnection) |
  (1 << FieldKind.upgrade) |
  (1 << FieldKind.transferEncoding) |
  (1 << FieldKind.te);
const HOST_KIND = 1 << FieldKind.host;
const LENGTH_KIND = 1 << FieldKind.contentLength;
const CR = 13;
const LF = 10;
const CHUNKED = 'transfer-encoding: chunked\r\n';
const UPGRADE = 'connection: upgrade\r\n';
const CLOSE = 'connection: close\r\n';
const KEEP_ALIVE = 'connection: keep-alive\r\n';
/** Start line beyond method, path and reason, and the fields that this file adds. */
const EXTRA = 256;

/** How a head is to be written. One object may serve all. */
export interface WriteOptions {
  framing: number;
  /** Content-Length, where the head itself does not have it; -1 leaves that to the head. */
  length: number;
  /** Both sides agreed on another protocol: Upgrade is passed on. */
  upgrade: boolean;
  /** The connection ends with this message. */
  close: boolean;
  /** The peer speaks HTTP/1.0 and is to be told that the connection lives on. */
  keepAlive: boolean;
}

/** Most octets that writing takes. */
export function boundOfHttp1(head: MessageHead, edits: HeadEdits): number {
  if (head.h1 !== null) return EXTRA + edits.bound + head.h1.size;
  const { method, path, authority, fields } = head.h2!;
  let octets = EXTRA + edits.bound + method.length + path.length + authority.length;
  for (let i = 0; i < fields.length; i++) octets += fields[i]!.name.length + fields[i]!.value.length + 4;
  return octets;
}

/** Writes a request's head at `at`; returns the offset behind it. */
export function writeHttp1Request(
  buffer: Buffer,
  start: number,
  head: MessageHead,
  edits: HeadEdits,
  options: WriteOptions,
): number {
  const { h1 } = head;
  let at = start;
  // Where it can be passed on as it is, the start line is part of the first run of lines.
  let from = -1;
  if (h1 !== null && edits.path === null && h1.hasPath && h1.minor === 1) from = h1.start;
  else {
    const path = edits.path ?? (h1?.isConnect ? h1.target : head.path);
    at += write(buffer, `${head.method} ${path} HTTP/1.1\r\n`, at);
  }
  const hasHost = h1 !== null && (h1.kinds & HOST_KIND) !== 0;
  let drops = edits.dropKinds | HOP_KINDS;
  if (edits.authority !== null || !hasHost) {
    drops |= HOST_KIND;
    if (from >= 0) at += h1!.buffer.copy(buffer, at, from, h1!.lineStart(0));
    from = -1;
    at += write(buffer, `host: ${edits.authority ?? head.authority}\r\n`, at);
  }
  return writeRest(buffer, at, head, edits, drops, options, from);
}

/** Writes a response's head at `at`; returns the offset behind it. `edits.path` and `authority` mean nothing here. */
export function writeHttp1Response(
  buffer: Buffer,
  start: number,
  head: MessageHead,
  edits: HeadEdits,
  options: WriteOptions,
): number {
  const { h1 } = head;
  let at = start;
  let from = -1;
  if (h1 !== null && h1.minor === 1 && h1.fields > 0) from = h1.start;
  else at += write(buffer, statusLineOf(head.status), at);
  return writeRest(buffer, at, head, edits, edits.dropKinds | HOP_KINDS, options, from);
}

/** Writes the fields; `from` is where the start line begins if it is to be copied with them, -1 if it is written already. */
function writeRest(
  buffer: Buffer,
  start: number,
  head: MessageHead,
  edits: HeadEdits,
  dropKinds: number,
  options: WriteOptions,
  from: number,
): number {
  const { h1 } = head;
  const drops = options.framing === Framing.length && options.length < 0 ? dropKinds : dropKinds | lengthDrop(options);
  let at =
    h1 !== null ? copyFields(buffer, start, h1, drops, edits, from) : writeFields(buffer, start, head, drops, edits);
  const { lines } = edits;
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    at += line.buffer.copy(buffer, at, line.start, line.end);
  }
  if (options.framing === Framing.chunked) at += write(buffer, CHUNKED, at);
  else if (options.framing === Framing.length && options.length >= 0)
    at += write(buffer, `content-length: ${options.length}\r\n`, at);
  if (options.upgrade) {
    const protocol = head.get('upgrade');
    at += write(buffer, `${UPGRADE}upgrade: ${protocol ?? 'websocket'}\r\n`, at);
  } else if (options.close) at += write(buffer, CLOSE, at);
  else if (options.keepAlive) at += write(buffer, KEEP_ALIVE, at);
  buffer[at] = CR;
  buffer[at + 1] = LF;
  return at + 2;
}

/** Content-Length goes when it is written anew, or when the content is in chunks; an answer to HEAD keeps it. */
function lengthDrop({ framing, length }: WriteOptions): number {
  return framing === Framing.chunked || length >= 0 ? LENGTH_KIND : 0;
}

/** Copies lines as they came, in runs of those that stay. */
function copyFields(
  buffer: Buffer,
  start: number,
  head: Http1Head,
  drops: number,
  edits: HeadEdits,
  first: number,
): number {
  const named = head.hasOptions ? [...edits.drops, ...head.connectionOptions()] : edits.drops;
  const source = head.buffer;
  let at = start;
  const lines = head.fields === 0 ? head.lineEnd(-1) : head.lineStart(0);
  let from = first < 0 ? lines : first;
  let to = lines;
  for (let i = 0; i < head.fields; i++) {
    const end = head.lineEnd(i);
    const kind = head.kind(i);
    if ((kind !== 0 && (drops & (1 << kind)) !== 0) || (named.length > 0 && isOneOf(head, i, named))) {
      if (to > from) at += source.copy(buffer, at, from, to);
      from = end;
    }
    to = end;
  }
  return to > from ? at + source.copy(buffer, at, from, to) : at;
}

function isOneOf(head: Http1Head, i: number, names: readonly string[]): boolean {
  for (let k = 0; k < names.length; k++) if (head.isNamed(i, names[k]!)) return true;
  return false;
}

function writeFields(buffer: Buffer, start: number, head: MessageHead, drops: number, edits: HeadEdits): number {
  const { fields } = head.h2!;
  let at = start;
  let cookies = '';
  for (let i = 0; i < fields.length; i++) {
    const { name, value } = fields[i]!;
    if (isDropped(name, drops, edits)) continue;
    // HTTP/2 may split it (RFC 9113 section 8.2.3).
    if (name === 'cookie') cookies += cookies === '' ? value : `; ${value}`;
    else at += write(buffer, `${name}: ${value}\r\n`, at);
  }
  return cookies === '' ? at : at + write(buffer, `cookie: ${cookies}\r\n`, at);
}

function isDropped(name: string, drops: number, edits: HeadEdits): boolean {
  const kind = kindOfName(name);
  return kind !== 0 ? (drops & (1 << kind)) !== 0 : edits.drops.length > 0 && edits.drops.includes(name);
}

const statusLines = new Map<number, string>();

function statusLineOf(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}

function write(buffer: Buffer, text: string, at: number): number {
  return buffer.write(text, at, 'latin1');
}
