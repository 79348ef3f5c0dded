// SPDX-License-Identifier: Apache-2.0
// Who a request comes from: client certificate, bearer token, or nobody; and whom it asks to act as (impersonation).
// Source: Kubernetes documentation, "Authenticating", "User impersonation".
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import { unauthorized } from '../status.ts';
import type { Action } from './rbac.ts';
import type { Tokens } from './tokens.ts';
import { ANONYMOUS, AUTHENTICATED, serviceAccountUser, type User } from './user.ts';

export class Authenticator {
  readonly #tokens: Tokens;
  /** Certificates are read once a connection. */
  readonly #bySocket = new WeakMap<object, User | null>();

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** The user; throws 401 for credentials that are wrong. No credentials make an anonymous user. */
  async authenticate(request: IncomingMessage): Promise<User> {
    const byCertificate = this.#certificateUser(request.socket as TLSSocket);
    if (byCertificate) return byCertificate;
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return ANONYMOUS;
    const answer = await this.#tokens.review(token);
    if (!answer) throw unauthorized();
    return answer.user;
  }

  #certificateUser(socket: TLSSocket): User | undefined {
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return known ?? undefined;
    const user = socket.authorized ? userOfCertificate(socket.getPeerCertificate()) : undefined;
    this.#bySocket.set(socket, user ?? null);
    return user;
  }
}

/** Common name is the user, organisations are the groups. */
function userOfCertificate(certificate: PeerCertificate): User | undefined {
  const name = [certificate.subject?.CN ?? ''].flat()[0];
  if (!name) return undefined;
  return { name, groups: [...[certificate.subject.O ?? []].flat(), AUTHENTICATED] };
}

/** The user to act as, and what the caller must be allowed to impersonate; undefined without such headers. */
export function impersonation(headers: IncomingHttpHeaders): { user: User; needs: Action[] } | undefined {
  const name = header(headers, 'impersonate-user')[0];
  const groups = header(headers, 'impersonate-group');
  if (name === undefined) return undefined;
  const needs: Action[] = [];
  const need = (resource: string, subject: string, namespace = '', group = '', subresource = ''): void => {
    needs.push({ kind: 'resource', verb: 'impersonate', group, resource, subresource, namespace, name: subject });
  };
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  if (account) need('serviceaccounts', account[2]!, account[1]!);
  else need('users', name);
  for (const group of groups) need('groups', group);
  const extra: Record<string, string[]> = {};
  for (const key of Object.keys(headers))
    if (key.startsWith('impersonate-extra-')) {
      const field = decodeURIComponent(key.slice('impersonate-extra-'.length));
      extra[field] = header(headers, key);
      for (const value of extra[field]) need('userextras', value, '', 'authentication.k8s.io', field);
    }
  const base = account && groups.length === 0 ? serviceAccountUser(account[1]!, account[2]!).groups : groups;
  const withDefault = name === ANONYMOUS.name || base.includes(AUTHENTICATED) ? base : [...base, AUTHENTICATED];
  return { user: { name, groups: withDefault, ...(Object.keys(extra).length ? { extra } : {}) }, needs };
}

/** All values of a header; Node joins repeated ones with a comma. */
function header(headers: IncomingHttpHeaders, name: string): string[] {
  const value = headers[name];
  if (value === undefined) return [];
  return [value].flat().flatMap((text) => text.split(/,\s*/));
}
