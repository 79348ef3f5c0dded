// SPDX-License-Identifier: Apache-2.0
// Requests that name no resource: health, version, discovery, OpenAPI, token issuer, metrics.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ISSUER, type Tokens } from '../auth/tokens.ts';
import { AGGREGATED, aggregated, apiGroup, apiGroupList, coreVersions, resourceList } from '../discovery/discovery.ts';
import { openApiIndex, openApiV2, openApiV3 } from '../discovery/openapi.ts';
import type { JsonObject } from '../json.ts';
import type { Catalog } from '../kinds/catalog.ts';
import type { BuiltinSchemas } from '../schema/builtin.ts';
import { noSuchPath } from '../status.ts';
import { encodeOpenApiV2, OPENAPI_V2_PROTOBUF } from '../wire/openapi-v2.ts';
import { sendBytes, sendJson, sendText } from './respond.ts';

export interface PathsParts {
  readonly catalog: Catalog;
  readonly schemas: BuiltinSchemas;
  readonly tokens: Tokens;
  readonly address: () => string;
  /** Whether the cluster's first objects are there. */
  readonly ready: () => boolean;
  readonly metrics: () => Promise<string>;
}

/** The version this server speaks. */
export const VERSION = { major: '1', minor: '35', gitVersion: 'v1.35.2+ambit' } as const;

export class Paths {
  readonly #parts: PathsParts;
  readonly #documents = new Map<string, { generation: number; text: string }>();
  #protobuf: { readonly of: string; readonly bytes: Uint8Array } | undefined;

  constructor(parts: PathsParts) {
    this.#parts = parts;
  }

  async serve(
    info: { path: string; verb: string },
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    const path = info.path.replace(/(.)\/+$/, '$1');
    const health = /^\/(healthz|livez|readyz)(\/.*)?$/.exec(path);
    if (health) {
      const waits = health[1] === 'readyz' && !this.#parts.ready();
      return sendText(response, waits ? 503 : 200, waits ? 'the first objects are being made' : 'ok', 'text/plain');
    }
    if (path === '/metrics') return sendText(response, 200, await this.#parts.metrics(), 'text/plain; version=0.0.4');
    if (path === '/version') return sendJson(response, 200, versionInfo());
    if (path === '/openid/v1/jwks') return sendJson(response, 200, await this.#parts.tokens.jwks());
    if (path === '/.well-known/openid-configuration') return sendJson(response, 200, issuerDocument());
    if (path === '/api' || path === '/apis') return this.#root(path, request, response);
    const text = this.#document(path);
    if (text === undefined) throw noSuchPath();
    const etag = `"${createHash('sha1').update(text).digest('hex')}"`;
    response.setHeader('etag', etag);
    if (url.searchParams.has('hash')) response.setHeader('vary', 'Accept');
    if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
    const accept = (request.headers.accept ?? '').replaceAll(' ', '');
    const binary = path === '/openapi/v2' && OPENAPI_V2_PROTOBUF.some((type) => accept.includes(type));
    if (binary) sendBytes(response, 200, this.#inProtobuf(text), OPENAPI_V2_PROTOBUF[1]);
    else sendText(response, 200, text);
  }

  /** The OpenAPI v2 document for clients that read no JSON. */
  #inProtobuf(text: string): Uint8Array {
    if (this.#protobuf?.of !== text) {
      this.#protobuf = { of: text, bytes: encodeOpenApiV2(JSON.parse(text) as JsonObject) };
    }
    return this.#protobuf.bytes;
  }

  #root(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { catalog, address } = this.#parts;
    const core = path === '/api';
    // The first form the client names that we have; kubectl and client-go put the aggregated one first.
    if ((request.headers.accept ?? '').replaceAll(' ', '').includes(AGGREGATED))
      sendText(response, 200, this.#cached(`${path}?aggregated`, () => aggregated(catalog, core))!, AGGREGATED);
    else sendJson(response, 200, core ? coreVersions(address()) : apiGroupList(catalog));
  }

  #document(path: string): string | undefined {
    const { catalog, schemas } = this.#parts;
    const parts = path.split('/').slice(1);
    const make = (): JsonObject | undefined => {
      if (path === '/openapi/v3') return openApiIndex(catalog);
      if (path === '/openapi/v2') return openApiV2(catalog, schemas);
      if (path.startsWith('/openapi/v3/apis/')) return openApiV3(catalog, schemas, parts[3]!, parts[4] ?? '');
      if (path.startsWith('/openapi/v3/api/')) return openApiV3(catalog, schemas, '', parts[3]!);
      if (parts[0] === 'api' && parts.length === 2) return resourceList(catalog, '', parts[1]!);
      if (parts[0] === 'apis' && parts.length === 2) return apiGroup(catalog, parts[1]!);
      if (parts[0] === 'apis' && parts.length === 3) return resourceList(catalog, parts[1]!, parts[2]!);
      return undefined;
    };
    return this.#cached(path, make);
  }

  /** A document's text, made again when the catalog has changed. */
  #cached(key: string, make: () => JsonObject | undefined): string | undefined {
    const { generation } = this.#parts.catalog;
    const known = this.#documents.get(key);
    if (known?.generation === generation) return known.text;
    const made = make();
    if (!made) return undefined;
    const text = JSON.stringify(made);
    this.#documents.set(key, { generation, text });
    return text;
  }
}

const versionInfo = (): JsonObject => ({
  ...VERSION,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'node',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
});

const issuerDocument = (): JsonObject => ({
  issuer: ISSUER,
  jwks_uri: `${ISSUER}/openid/v1/jwks`,
  response_types_supported: ['id_token'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['ES256'],
});
