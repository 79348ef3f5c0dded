// SPDX-License-Identifier: Apache-2.0
// Requests on resources: from verb and subresource to the part that serves it, and its result to an answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#lib/kit/clock.ts';
import type { User } from '../auth/user.ts';
import { decodeObject } from '../http/body.ts';
import type { ResourceRequest } from '../http/request-info.ts';
import { sendJson, sendText } from '../http/respond.ts';
import type { JsonObject } from '../json.ts';
import { methodNotAllowed, noSuchPath } from '../status.ts';
import type { Entry } from '../store/change.ts';
import type { Store } from '../store/store.ts';
import { listOptions, type WriteOptions, writeOptions } from './options.ts';
import { acceptedForm, Presenter } from './present.ts';
import type { Reader } from './read.ts';
import type { RequestBodies } from './request-body.ts';
import { askSubresource, askVirtual, type SpecialParts } from './special.ts';
import { subjectOf, type Target } from './target.ts';
import { watch } from './watch.ts';
import type { Writer, Written } from './write.ts';

export interface HandlerParts extends SpecialParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly bodies: RequestBodies;
  readonly reader: Reader;
  readonly writer: Writer;
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
    if (resource.storage === '') {
      const reply = await askVirtual(
        this.#parts,
        target,
        info.verb,
        await this.#parts.bodies.read(request),
        this.#options(request, url),
      );
      return sendJson(response, reply.status, reply.body);
    }
    this.#checkSubresource(target);
    if (!WHOLE.has(info.subresource)) {
      const reply = await askSubresource(
        this.#parts,
        target,
        info.verb,
        await this.#parts.bodies.read(request),
        this.#options(request, url),
      );
      return sendJson(response, reply.status, reply.body);
    }
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
    const { text: body, type } = await this.#parts.bodies.read(request);
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
    const { text, type } = await this.#parts.bodies.read(request);
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
