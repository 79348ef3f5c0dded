// SPDX-License-Identifier: Apache-2.0
// Requests on resources: from verb and subresource to the part that serves it, and its result to an answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#lib/kit/clock.ts';
import type { User } from '../auth/user.ts';
import { decodeObject, mediaType, readBytes } from '../http/body.ts';
import type { ResourceRequest } from '../http/request-info.ts';
import { sendJson, sendText } from '../http/respond.ts';
import type { JsonObject } from '../json.ts';
import type { Catalog } from '../kinds/catalog.ts';
import type { Resolve } from '../schema/schema.ts';
import { methodNotAllowed, noSuchPath } from '../status.ts';
import type { Entry, Store } from '../store/store.ts';
import { decodeProtobuf, PROTOBUF } from '../wire/protobuf.ts';
import type { Deleter } from './delete.ts';
import { listOptions, type WriteOptions, writeOptions } from './options.ts';
import { acceptedForm, Presenter } from './present.ts';
import type { Reader } from './read.ts';
import { type ReviewParts, review } from './reviews.ts';
import { bind, issueToken, type SubresourceParts, scaleOf, writeScale } from './subresources.ts';
import { subjectOf, type Target } from './target.ts';
import { watch } from './watch.ts';
import type { Writer, Written } from './write.ts';

export interface HandlerParts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly resolve: Resolve;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly deleter: Deleter;
  readonly reviews: ReviewParts;
  readonly subresources: SubresourceParts;
}

/** Subresources that are written like the object itself. */
const WHOLE = new Set(['', 'status', 'approval', 'ephemeralcontainers', 'finalize']);

export class ResourceHandler {
  readonly #parts: HandlerParts;

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  async handle(
    info: ResourceRequest,
    user: User,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    const found = this.#parts.catalog.find(info.group, info.version, info.resource);
    if (!found) throw noSuchPath();
    const { resource, version } = found;
    const target: Target = {
      resource,
      version,
      namespace: resource.namespaced ? info.namespace : '',
      name: info.name,
      subresource: info.subresource,
      user,
    };
    const warnings = version.deprecation ? [version.deprecation] : [];
    const presenter = new Presenter(resource, version, acceptedForm(request.headers, url.searchParams), () =>
      this.#parts.clock.now(),
    );
    if (resource.storage === '') return this.#virtual(target, info, request, response, url);
    this.#checkSubresource(target);
    if (!WHOLE.has(info.subresource)) return this.#special(target, info, request, response, url);
    switch (info.verb) {
      case 'get':
        return sendText(response, 200, presenter.one(this.#parts.reader.get(target)), 'application/json', warnings);
      case 'list': {
        const page = this.#parts.reader.list(target, listOptions(url.searchParams));
        return sendText(response, 200, presenter.list(page.entries, page.meta), 'application/json', warnings);
      }
      case 'watch':
        return this.#watch(target, presenter, response, url);
      case 'create':
      case 'update':
      case 'patch': {
        const written = await this.#write(target, info.verb, request, this.#options(request, url));
        return sendText(response, written.created ? 201 : 200, presenter.one(written.entry), 'application/json', [
          ...warnings,
          ...written.warnings,
        ]);
      }
      case 'delete':
      case 'deletecollection':
        return this.#delete(target, info.verb, presenter, request, response, url);
      default:
        throw methodNotAllowed(subjectOf(target), info.verb);
    }
  }

  #options(request: IncomingMessage, url: URL): WriteOptions {
    return writeOptions(url.searchParams, request.headers['user-agent'] ?? '');
  }

  /** The body as text, what came as protobuf as JSON, with the type that this makes it. */
  async #read(request: IncomingMessage): Promise<{ text: string; type: string }> {
    const type = request.headers['content-type'] ?? '';
    const bytes = await readBytes(request);
    if (mediaType(type) !== PROTOBUF || bytes.length === 0) return { text: bytes.toString('utf8'), type };
    const { catalog, resolve } = this.#parts;
    const object = decodeProtobuf(bytes, (apiVersion, kind) => modelOf(catalog, apiVersion, kind), resolve);
    return { text: JSON.stringify(object), type: 'application/json' };
  }

  #checkSubresource({ resource, version, subresource }: Target): void {
    if (subresource === '' || resource.subresources[subresource]) return;
    if (subresource === 'status' && version.status) return;
    if (subresource === 'scale' && version.scale) return;
    throw noSuchPath();
  }

  async #write(
    target: Target,
    verb: 'create' | 'update' | 'patch',
    request: IncomingMessage,
    options: WriteOptions,
  ): Promise<Written> {
    const { writer } = this.#parts;
    const { text: body, type } = await this.#read(request);
    if (verb === 'patch') return writer.patch(target, type, body, options);
    const object = decodeObject(body, type);
    if (verb === 'update') return writer.update(target, object, options);
    if (target.name !== '') throw methodNotAllowed(subjectOf(target), 'POST');
    return writer.create(target, object, options);
  }

  #watch(target: Target, presenter: Presenter, response: ServerResponse, url: URL): void {
    const options = listOptions(url.searchParams);
    let open = false;
    const start = (): void => {
      if (open) return;
      open = true;
      response.writeHead(200, {
        'content-type': 'application/json',
        'transfer-encoding': 'chunked',
        'cache-control': 'no-cache, private',
      });
      response.flushHeaders();
    };
    const sink = {
      write: (line: string): number => {
        start();
        response.write(line);
        return response.writableLength;
      },
      end: (): void => void response.end(),
      onClose: (handler: () => void): void => void response.on('close', handler),
    };
    watch(this.#parts.store, target, options, presenter, sink, this.#parts.clock);
    start();
  }

  async #delete(
    target: Target,
    verb: string,
    presenter: Presenter,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    const { reader, deleter } = this.#parts;
    const { text, type } = await this.#read(request);
    const body: JsonObject = text === '' ? {} : decodeObject(text, type);
    for (const name of ['propagationPolicy', 'gracePeriodSeconds'] as const) {
      const value = url.searchParams.get(name);
      if (value !== null) body[name] = name === 'gracePeriodSeconds' ? Number(value) : value;
    }
    const options = {
      ...this.#options(request, url),
      ...(Array.isArray(body['dryRun']) && body['dryRun'].includes('All') ? { dryRun: true } : {}),
    };
    if (verb === 'delete') {
      const { entry, done } = await deleter.delete(target, body, options);
      return done
        ? sendJson(response, 200, deletedStatus(target, entry))
        : sendText(response, 200, presenter.one(entry));
    }
    const page = reader.list(target, listOptions(url.searchParams));
    for (const entry of page.entries) {
      const one = { ...target, namespace: entry.namespace, name: entry.name };
      if (reader.find(one)) await deleter.delete(one, body, options);
    }
    return sendText(response, 200, presenter.list(page.entries, page.meta));
  }

  async #virtual(
    target: Target,
    info: ResourceRequest,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    if (info.verb !== 'create') throw methodNotAllowed(subjectOf(target), info.verb);
    const { text, type } = await this.#read(request);
    const body = decodeObject(text, type);
    if (target.resource.kind === 'Binding') {
      const name =
        typeof (body['metadata'] as JsonObject | undefined)?.['name'] === 'string'
          ? String((body['metadata'] as JsonObject)['name'])
          : '';
      const pods = this.#parts.catalog.find('', 'v1', 'pods')!;
      return this.#bind({ ...target, ...pods, name }, body, request, response, url);
    }
    sendJson(response, 201, await review(this.#parts.reviews, target, body));
  }

  async #bind(
    target: Target,
    body: JsonObject,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    await bind(this.#parts.subresources, target, body, this.#options(request, url));
    sendJson(response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
  }

  async #special(
    target: Target,
    info: ResourceRequest,
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
  ): Promise<void> {
    const { subresources, deleter } = this.#parts;
    if (info.subresource === 'scale' && info.verb === 'get')
      return sendJson(response, 200, scaleOf(subresources, target));
    const { text, type } = await this.#read(request);
    const options = this.#options(request, url);
    if (info.subresource === 'scale' && info.verb === 'patch')
      return sendJson(
        response,
        200,
        await writeScale(subresources, target, { patch: text, contentType: type }, options),
      );
    if (info.subresource === 'scale' && info.verb === 'update')
      return sendJson(
        response,
        200,
        await writeScale(subresources, target, { body: decodeObject(text, type) }, options),
      );
    if (info.verb !== 'create') throw methodNotAllowed(subjectOf(target), info.verb);
    const body = decodeObject(text, type);
    if (info.subresource === 'binding') return this.#bind(target, body, request, response, url);
    if (info.subresource === 'token') return sendJson(response, 201, await issueToken(subresources, target, body));
    if (info.subresource === 'eviction') {
      await deleter.delete(
        { ...target, subresource: '' },
        (body['deleteOptions'] as JsonObject | undefined) ?? {},
        options,
      );
      return sendJson(response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
    }
    throw methodNotAllowed(subjectOf(target), info.verb);
  }
}

/** Kinds of subresources and options, which no resource is named after. */
const OTHER_MODELS: Readonly<Record<string, string>> = {
  DeleteOptions: 'V1DeleteOptions',
  Eviction: 'V1Eviction',
  Scale: 'V1Scale',
  TokenRequest: 'AuthenticationV1TokenRequest',
};

function modelOf(catalog: Catalog, apiVersion: string, kind: string): string | undefined {
  const [version, group = ''] = apiVersion.split('/').reverse();
  return catalog.byKind(group, kind)?.versions.get(version ?? '')?.model ?? OTHER_MODELS[kind];
}

const deletedStatus = (target: Target, entry: Entry): JsonObject => ({
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  details: {
    name: entry.name,
    ...(target.resource.group ? { group: target.resource.group } : {}),
    kind: target.resource.plural,
    uid: entry.object.metadata.uid ?? '',
  },
});
