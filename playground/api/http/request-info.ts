// SPDX-License-Identifier: Apache-2.0
// What a request asks for, read from method and URL alone: authorisation and dispatch both work on it.
// Source: Kubernetes API concepts, "Resource URIs" and "API verbs".

export type RequestInfo =
  | { readonly kind: 'path'; readonly verb: string; readonly path: string }
  | {
      readonly kind: 'resource';
      readonly verb: string;
      readonly path: string;
      readonly group: string;
      readonly version: string;
      readonly resource: string;
      readonly namespace: string;
      readonly name: string;
      readonly subresource: string;
      /** What follows `/proxy/`, for proxied requests. */
      readonly rest: string;
    };

export type ResourceRequest = Extract<RequestInfo, { kind: 'resource' }>;

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};
/** Subresources whose POST stays `create` and whose GET stays `get`, whatever is proxied. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

export function requestInfo(method: string, url: URL): RequestInfo {
  const path = url.pathname;
  const plain: RequestInfo = { kind: 'path', verb: method.toLowerCase(), path };
  const parts = path.split('/').slice(1).map(decode);
  let group = '';
  if (parts[0] === 'apis' && parts.length >= 4) group = parts[1]!;
  else if (parts[0] !== 'api' || parts.length < 3) return plain;
  const version = group ? parts[2]! : parts[1]!;
  let rest = parts.slice(group ? 3 : 2);
  if (rest[0] === '' || rest[0] === undefined) return plain;
  let namespace = '';
  if (rest[0] === 'namespaces' && rest.length >= 3 && !NAMESPACE_SUBRESOURCES.has(rest[2]!) && rest[2] !== '') {
    namespace = rest[1]!;
    rest = rest.slice(2);
  }
  let watching = isTrue(url.searchParams.get('watch'));
  if (rest[0] === 'watch' && rest.length > 1) {
    watching = true;
    rest = rest.slice(1);
  }
  const [resource = '', name = '', subresource = ''] = rest;
  if (resource === 'namespaces' && group === '') namespace = name;
  return {
    kind: 'resource',
    verb: verbOf(method, name, subresource, watching),
    path,
    group,
    version,
    resource,
    namespace,
    name,
    subresource,
    rest: rest.slice(3).map(encodeURIComponent).join('/'),
  };
}

function verbOf(method: string, name: string, subresource: string, watching: boolean): string {
  const verb = VERBS[method] ?? method.toLowerCase();
  if (subresource !== '') return verb;
  if (verb === 'get' && watching) return 'watch';
  if (name !== '') return verb;
  return verb === 'get' ? 'list' : verb === 'delete' ? 'deletecollection' : verb;
}

export const isTrue = (value: string | null): boolean => value === 'true' || value === '1';

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
