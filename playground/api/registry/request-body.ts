// SPDX-License-Identifier: Apache-2.0
// Request bodies as text, whatever they came as: protobuf becomes JSON.
import type { IncomingMessage } from 'node:http';
import { mediaType, readBytes } from '../http/body.ts';
import type { Catalog } from '../kinds/catalog.ts';
import type { Resolve } from '../schema/schema.ts';
import { decodeProtobuf, PROTOBUF } from '../wire/protobuf.ts';

/** Kinds of subresources and options, which no resource is named after. */
const OTHER_MODELS: Readonly<Record<string, string>> = {
  DeleteOptions: 'V1DeleteOptions',
  Eviction: 'V1Eviction',
  Scale: 'V1Scale',
  TokenRequest: 'AuthenticationV1TokenRequest',
};

/** A body and the media type it has as text. */
export interface TextBody {
  readonly text: string;
  readonly type: string;
}

export class RequestBodies {
  readonly #catalog: Catalog;
  readonly #resolve: Resolve;

  constructor(catalog: Catalog, resolve: Resolve) {
    this.#catalog = catalog;
    this.#resolve = resolve;
  }

  async read(request: IncomingMessage): Promise<TextBody> {
    const type = request.headers['content-type'] ?? '';
    const bytes = await readBytes(request);
    if (mediaType(type) !== PROTOBUF || bytes.length === 0) return { text: bytes.toString('utf8'), type };
    const object = decodeProtobuf(bytes, (apiVersion, kind) => this.#modelOf(apiVersion, kind), this.#resolve);
    return { text: JSON.stringify(object), type: 'application/json' };
  }

  #modelOf(apiVersion: string, kind: string): string | undefined {
    const [version, group = ''] = apiVersion.split('/').reverse();
    return this.#catalog.byKind(group, kind)?.versions.get(version ?? '')?.model ?? OTHER_MODELS[kind];
  }
}
