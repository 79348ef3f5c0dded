// SPDX-License-Identifier: Apache-2.0
// Admission webhooks: asks those that match over HTTPS, applies JSON patches, passes on refusals and warnings.
// Source: Kubernetes documentation, "Dynamic Admission Control"; admission.k8s.io/v1.
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { connectionBy, type Dial, dialDirect } from '../http/dial.ts';
import { copy, isObject, type JsonObject, type KubeObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { apiVersionOf, gvk } from '../kinds/resource.ts';
import { jsonPatch } from '../patch/json-patch.ts';
import { userInfo } from '../registry/reviews.ts';
import { ApiError, internal } from '../status.ts';
import type { Labels } from '../store/selector.ts';
import type { Store } from '../store/store.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';
import { webhookMatches } from './webhook-rules.ts';

/** Where a webhook's Service is reached. */
export type ServiceEndpoint = (
  namespace: string,
  name: string,
  port: number,
) => { host: string; port: number } | undefined;

const MUTATING = 'mutatingwebhookconfigurations.admissionregistration.k8s.io';
const VALIDATING = 'validatingwebhookconfigurations.admissionregistration.k8s.io';
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const EXEMPT = /WebhookConfiguration$/;

export class Webhooks implements AdmissionPlugin {
  readonly #store: Store;
  readonly #endpoint: ServiceEndpoint;
  readonly #dial: Dial;

  /** `dial` leads to Services; a webhook with a URL is called directly. */
  constructor(store: Store, endpoint: ServiceEndpoint, dial: Dial) {
    this.#store = store;
    this.#endpoint = endpoint;
    this.#dial = dial;
  }

  mutate(request: AdmissionRequest): Promise<void> | void {
    const hooks = this.#matching(MUTATING, request);
    if (hooks.length === 0) return;
    return this.#askEach(hooks, request);
  }

  validate(request: AdmissionRequest): Promise<void> | void {
    const hooks = this.#matching(VALIDATING, request);
    if (hooks.length === 0) return;
    return Promise.all(hooks.map((hook) => this.#ask(hook, request))).then(() => undefined);
  }

  async #askEach(hooks: JsonObject[], request: AdmissionRequest): Promise<void> {
    for (const hook of hooks) {
      const patch = await this.#ask(hook, request);
      if (patch === undefined || !request.object) continue;
      const result = jsonPatch(request.object, JSON.parse(Buffer.from(patch, 'base64').toString('utf8')));
      if (!result.ok)
        throw internal(
          `webhook "${textAt(hook, 'name')}" sent a patch that does not apply: ${result.problems[0]!.message}`,
        );
      replaceMembers(request.object, result.value as KubeObject);
    }
  }

  #matching(storage: string, request: AdmissionRequest): JsonObject[] {
    const configurations = this.#store.collection(storage);
    if (
      configurations.size === 0 ||
      EXEMPT.test(request.target.resource.kind) ||
      request.target.resource.storage === ''
    )
      return [];
    const namespace = request.target.resource.kind === 'Namespace' ? request.target.name : request.target.namespace;
    const labels: Labels | undefined =
      request.target.resource.kind === 'Namespace'
        ? (request.object ?? request.before)?.metadata.labels
        : this.#store.collection('namespaces').get('', namespace)?.object.metadata.labels;
    return configurations
      .list()
      .flatMap((entry) => listAt(entry.object, 'webhooks').filter(isObject))
      .filter((hook) => webhookMatches(hook, request, labels));
  }

  /** Asks one webhook; the answer is its patch, base64, or nothing. Throws what it refuses. */
  async #ask(hook: JsonObject, request: AdmissionRequest): Promise<string | undefined> {
    const name = textAt(hook, 'name') ?? '';
    if (request.options.dryRun && !['None', 'NoneOnDryRun'].includes(textAt(hook, 'sideEffects') ?? ''))
      throw new ApiError(400, 'BadRequest', `admission webhook "${name}" does not support dry run`);
    const uid = crypto.randomUUID();
    let response: JsonObject;
    try {
      const answer = await this.#post(hook, JSON.stringify(reviewOf(request, uid)));
      response = objectAt(answer, 'response');
      if (response['uid'] !== uid)
        throw internal(`the answer's response.uid is ${String(response['uid'])}, expected ${uid}`);
    } catch (error) {
      if (textAt(hook, 'failurePolicy') === 'Ignore') return undefined;
      throw internal(
        `Internal error occurred: failed calling webhook "${name}": ${error instanceof Error ? error.message : String(error)}`,
      );
    }
    request.warnings.push(...listAt(response, 'warnings').map(String));
    if (response['allowed'] !== true) {
      const message =
        textAt(response, 'status', 'message') ?? textAt(response, 'status', 'reason') ?? 'without explanation';
      throw new ApiError(
        numberAt(response, 'status', 'code') ?? 403,
        textAt(response, 'status', 'reason') ?? 'Forbidden',
        `admission webhook "${name}" denied the request: ${message}`,
      );
    }
    return textAt(response, 'patch');
  }

  #post(hook: JsonObject, body: string): Promise<JsonObject> {
    const config = objectAt(hook, 'clientConfig');
    const bundle = textAt(config, 'caBundle');
    const seconds = numberAt(hook, 'timeoutSeconds') ?? 10;
    const service = config['service'];
    const url = new URL(textAt(config, 'url') ?? 'https://webhook.invalid');
    let servername = url.hostname;
    let connect = { host: url.hostname, port: Number(url.port || 443) };
    let path = url.pathname + url.search;
    let dial = dialDirect;
    if (isObject(service)) {
      const [namespace, name, port] = [
        textAt(service, 'namespace') ?? '',
        textAt(service, 'name') ?? '',
        numberAt(service, 'port') ?? 443,
      ];
      const found = this.#endpoint(namespace, name, port);
      if (!found) return Promise.reject(new Error(`no endpoints available for service "${name}"`));
      servername = `${name}.${namespace}.svc`;
      connect = found;
      dial = this.#dial;
      path = `/${(textAt(service, 'path') ?? '').replace(/^\//, '')}`;
    }
    return postJson({
      ...connect,
      dial,
      servername,
      path,
      body,
      timeoutMs: seconds * 1000,
      ...(bundle ? { ca: Buffer.from(bundle, 'base64') } : {}),
    });
  }
}

interface Post {
  readonly host: string;
  readonly port: number;
  readonly dial: Dial;
  readonly servername: string;
  readonly path: string;
  readonly body: string;
  readonly timeoutMs: number;
  readonly ca?: Buffer;
}

function postJson({ body, timeoutMs, host, port, dial, servername, path, ca }: Post): Promise<JsonObject> {
  // An address is no server name (RFC 6066, section 3); the certificate is checked against it all the same.
  const name = isIP(servername) ? { host: servername } : { servername };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        method: 'POST',
        path,
        createConnection: connectionBy(dial, host, port, { ...name, ...(ca ? { ca } : {}) }),
        headers: {
          host: servername,
          'content-type': 'application/json',
          accept: 'application/json',
          'content-length': Buffer.byteLength(body),
        },
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode !== 200)
            return reject(new Error(`it answered ${response.statusCode}: ${text.slice(0, 200)}`));
          try {
            resolve(JSON.parse(text) as JsonObject);
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function reviewOf(
  { target, operation, object, before, options, requestOptions }: AdmissionRequest,
  uid: string,
): JsonObject {
  const { resource, version, subresource, namespace, name, user } = target;
  const kind = gvk(resource, version.name);
  const place = { group: resource.group, version: version.name, resource: resource.plural };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind,
      resource: place,
      requestKind: kind,
      requestResource: place,
      ...(subresource ? { subResource: subresource, requestSubResource: subresource } : {}),
      name,
      ...(namespace ? { namespace } : {}),
      operation,
      userInfo: userInfo(user),
      object: object ?? null,
      oldObject: before ?? null,
      dryRun: options.dryRun,
      options: requestOptions ?? {
        apiVersion: apiVersionOf('meta.k8s.io', 'v1'),
        kind: operation === 'CREATE' ? 'CreateOptions' : 'UpdateOptions',
      },
    },
  };
}

function replaceMembers(object: KubeObject, next: KubeObject): void {
  for (const key of Object.keys(object)) if (!(key in next)) delete object[key];
  Object.assign(object, copy(next));
}
