// SPDX-License-Identifier: Apache-2.0
// The head of a request or response, whichever version of HTTP it was read from: what rules ask, and what is passed on. A
// head of HTTP/1 stays bytes in place until somebody asks for a text.
import type { HeaderBlock } from '../h2/headers.ts';
import { KIND_NAMES } from '../http1/field-kind.ts';
import { Http1Head } from '../http1/head.ts';

export class MessageHead {
  readonly h1: Http1Head | null;
  readonly h2: HeaderBlock | null;
  /** Requests by HTTP/2: END_STREAM came with the head. */
  readonly ended: boolean;
  readonly #protocol: string;

  private constructor(h1: Http1Head | null, h2: HeaderBlock | null, ended: boolean, protocol: string) {
    this.h1 = h1;
    this.h2 = h2;
    this.ended = ended;
    this.#protocol = protocol;
  }

  /** Stands for whatever `head` holds at the time. */
  static ofHttp1(head: Http1Head): MessageHead {
    return new MessageHead(head, null, false, '');
  }

  /** `protocol`: by which it came, where that was another. */
  static ofHttp2(block: HeaderBlock, ended: boolean, protocol = 'HTTP/2'): MessageHead {
    return new MessageHead(null, block, ended, protocol);
  }

  get method(): string {
    return this.h1 !== null ? this.h1.method : this.h2!.method;
  }

  get isHead(): boolean {
    if (this.h1 === null) return this.h2!.method === 'HEAD';
    const { buffer, start } = this.h1;
    return buffer[start] === 0x48 && this.h1.method === 'HEAD';
  }

  /** Path and query, as they came. */
  get path(): string {
    if (this.h1 === null) return this.h2!.path;
    const { target } = this.h1;
    if (this.h1.hasPath || target === '*' || this.h1.isConnect) return target;
    const at = target.indexOf('/', target.indexOf('://') + 3);
    const query = target.indexOf('?');
    if (at >= 0 && (query < 0 || at < query)) return target.slice(at);
    return query < 0 ? '/' : `/${target.slice(query)}`;
  }

  /** Host and maybe port, as they came; empty if there is none. */
  get authority(): string {
    return this.h1 !== null ? this.h1.authority : this.h2!.authority || (this.h2!.get('host') ?? '');
  }

  /** 0 for a request. */
  get status(): number {
    return this.h1 !== null ? this.h1.status : this.h2!.status;
  }

  /** HTTP/1.0, HTTP/1.1 or HTTP/2, as access logs write it. */
  get protocol(): string {
    return this.h1 === null ? this.#protocol : this.h1.minor === 0 ? 'HTTP/1.0' : 'HTTP/1.1';
  }

  /** Fields there are, pseudo-header fields not among them. */
  get count(): number {
    return this.h1 !== null ? this.h1.fields : this.h2!.fields.length;
  }

  /** Lower case. */
  name(i: number): string {
    return this.h1 !== null ? this.h1.name(i) : this.h2!.fields[i]!.name;
  }

  value(i: number): string {
    return this.h1 !== null ? this.h1.value(i) : this.h2!.fields[i]!.value;
  }

  /** Whether there is a field of that kind; see `FieldKind`. */
  has(kind: number): boolean {
    return this.h1 !== null ? (this.h1.kinds & (1 << kind)) !== 0 : this.h2!.get(KIND_NAMES[kind]!) !== undefined;
  }

  /** The first value under that lower-case name. */
  get(name: string): string | undefined {
    return this.h1 !== null ? this.h1.get(name) : this.h2!.get(name);
  }

  /** Of Content-Length; -1 if there is none. */
  get contentLength(): number {
    if (this.h1 !== null) return this.h1.contentLength;
    const text = this.h2!.get('content-length');
    return text === undefined ? -1 : Number(text);
  }

  /** Makes it outlive the bytes it was read from. */
  keep() {
    this.h1?.keep();
  }

  /** Another head with the same content, for somebody who reads it when this one may be gone. */
  copy(): MessageHead {
    const { h1 } = this;
    if (h1 === null) return this;
    const head = new Http1Head();
    const bytes = Buffer.from(h1.buffer.subarray(h1.start, h1.start + h1.size));
    if (h1.status === 0) head.parseRequest(bytes, 0, bytes.length);
    else head.parseResponse(bytes, 0, bytes.length);
    return MessageHead.ofHttp1(head);
  }
}
