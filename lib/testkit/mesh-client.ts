// SPDX-License-Identifier: Apache-2.0
// A client of the mesh that a test plays by Node's own TLS and HTTP/2: tunnels to a waypoint under whatever identity, and
// connections in them.
import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { assembleCertificate } from '#lib/identity/certificate.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import type { MeshCa } from './node-proxy.ts';

export interface Credentials {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** Signed by the authority that `FAKE_CA` programs believe, too. */
export async function credentialsOf(uri: string): Promise<Credentials> {
  const authority = await createTestAuthority();
  const keys = await generateKey();
  const answer = await authority.sign({ publicKey: keys.publicKey, uris: [uri], ttlMs: 3_600_000 }, Date.now());
  const result = assembleCertificate(uri, await keyToPem(keys.privateKey), answer, true);
  assert.ok(result.ok);
  return { key: result.value.keyPem, cert: result.value.chainPem, ca: result.value.rootsPem };
}

/** The same authority for a node proxy of a test. */
export async function sharedCa(): Promise<MeshCa> {
  const { material } = await createTestAuthority();
  const issue: MeshCa['issue'] = async (uri) => {
    const { cert, key } = await credentialsOf(String(uri));
    return { chainPem: cert, keyPem: key };
  };
  return { rootPem: material.rootPem, issue };
}

export interface MeshAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A connection and what has come by it. */
export class HeardStream {
  readonly stream: Duplex;
  text = '';
  /** The other end has said all. */
  ended = false;
  closed = false;

  constructor(stream: Duplex) {
    this.stream = stream;
    stream.removeAllListeners('error').on('error', () => {});
    stream.on('data', (part: Buffer) => {
      this.text += part.toString();
    });
    stream.on('end', () => {
      this.ended = true;
    });
    stream.on('close', () => {
      this.closed = true;
    });
  }
}

export class MeshClient {
  readonly session: ClientHttp2Session;
  /** URIs and names in the other end's certificate. */
  readonly peer: string;

  private constructor(session: ClientHttp2Session, peer: string) {
    this.session = session;
    this.peer = peer;
  }

  /** A tunnel to the waypoint that listens on `port` of an address of loopback; fails when it wants none of it. */
  static async as(uri: string, port: number, credentials?: Credentials, host = '127.0.0.1'): Promise<MeshClient> {
    const socket = connectTls({
      port,
      host,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
      ...(credentials ?? (await credentialsOf(uri))),
    });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    const session = connect('http://waypoint', { createConnection: () => socket });
    session.on('error', () => {});
    return new MeshClient(session, socket.getPeerCertificate().subjectaltname ?? '');
  }

  /** A connection in the tunnel, or the status by which it was refused. */
  open(authority: string, headers: Readonly<Record<string, string>> = {}): Promise<Duplex | number> {
    return new Promise((resolve, reject) => {
      const stream = this.session.request(
        { ':method': 'CONNECT', ':authority': authority, ...headers },
        { endStream: false },
      );
      stream.on('error', reject);
      stream.on('response', (answer) => resolve(answer[':status'] === 200 ? stream : Number(answer[':status'])));
    });
  }

  /** A connection in the tunnel that is listened to; fails when it was refused. */
  async listen(authority: string): Promise<HeardStream> {
    const stream = await this.open(authority);
    if (typeof stream === 'number') throw new Error(`CONNECT was answered with ${stream}`);
    return new HeardStream(stream);
  }

  /** A request of HTTP/1.1 on a connection of its own. */
  async ask(authority: string, options: RequestOptions, content?: Buffer | string): Promise<MeshAnswer> {
    const stream = await this.open(authority);
    if (typeof stream === 'number') throw new Error(`CONNECT was answered with ${stream}`);
    return await new Promise((resolve, reject) => {
      const request = httpRequest({ ...options, createConnection: () => stream }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part)).on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts) });
        });
      });
      request.on('error', reject).end(content);
    });
  }

  /** The tunnel is over, whoever ended it. */
  get ended(): boolean {
    return this.session.destroyed || this.session.closed;
  }

  close(): void {
    this.session.destroy();
  }
}
