// SPDX-License-Identifier: Apache-2.0
//
// New paths and addresses from old ones: rewrites and the Location of redirects.

import { replacingRegex } from './regex.ts';
import { hostOf, pathLength, portOfAuthority, type RequestView } from './request.ts';
import type { PathMatch, PathRewrite, Redirect } from './route-table.ts';

/** Patterns of rewrites, compiled once for each value. */
const COMPILED = new WeakMap<PathRewrite, RegExp | undefined>();

function patternOf(rewrite: PathRewrite): RegExp | undefined {
  if (!COMPILED.has(rewrite)) {
    const regex = replacingRegex(rewrite.pattern);
    COMPILED.set(rewrite, typeof regex === 'string' ? undefined : regex);
  }
  return COMPILED.get(rewrite);
}

/** Why a rewrite cannot be done; '' when it can. */
export function rewriteProblem(rewrite: PathRewrite | undefined): string {
  if (rewrite?.kind !== 'regex') return '';
  const regex = replacingRegex(rewrite.pattern);
  return typeof regex === 'string' ? `${rewrite.pattern} ${regex}` : '';
}

/** RE2's \0 to \9 in JavaScript's words. */
function substitution(text: string): string {
  return text.replaceAll('$', '$$$$').replaceAll(/\\([0-9\\])/g, (_all, c: string) => {
    if (c === '\\') return '\\';
    return c === '0' ? '$&' : `$${c}`;
  });
}

/** Characters of the path that the match covered. */
function covered(match: PathMatch): number {
  return match.kind === 'any' || match.kind === 'regex' ? 0 : match.value.length;
}

/**
 * The path and query to send on.
 * @param path with its query
 * @param match by which the route was chosen
 */
export function rewritePath(path: string, rewrite: PathRewrite | undefined, match: PathMatch): string {
  if (rewrite === undefined) return path;
  const end = pathLength(path);
  const query = path.slice(end);
  switch (rewrite.kind) {
    case 'keep':
      return path;
    case 'full':
      return (rewrite.value === '' ? '/' : rewrite.value) + query;
    case 'prefix': {
      // An expression covers all of the path.
      const rest = match.kind === 'regex' ? query : path.slice(Math.min(covered(match), end));
      if (rewrite.value === '') return rest.startsWith('/') ? rest : `/${rest}`;
      return rewrite.value.endsWith('/') && rest.startsWith('/') ? rewrite.value + rest.slice(1) : rewrite.value + rest;
    }
    case 'segments': {
      const from = rewrite.value.endsWith('/') ? rewrite.value.slice(0, -1) : rewrite.value;
      const rest = path.slice(Math.min(covered(match), end), end);
      const joined = from + rest;
      return (joined === '' ? '/' : joined) + query;
    }
    case 'regex': {
      const pattern = patternOf(rewrite);
      if (pattern === undefined) return path;
      return path.slice(0, end).replace(pattern, substitution(rewrite.value)) + query;
    }
  }
}

function defaultPort(scheme: string): number {
  return scheme === 'https' ? 443 : 80;
}

/** The Location of a redirect. */
export function locationOf(redirect: Redirect, request: RequestView, match: PathMatch): string {
  const scheme = redirect.scheme === '' ? request.scheme : redirect.scheme;
  const host = redirect.hostname === '' ? hostOf(request.authority) : redirect.hostname;
  const port = redirectPort(redirect, scheme, request);
  const shown = port === 0 || port === defaultPort(scheme) ? '' : `:${port}`;
  return `${scheme}://${host}${shown}${rewritePath(request.path, redirect.path, match)}`;
}

function redirectPort(redirect: Redirect, scheme: string, request: RequestView): number {
  switch (redirect.portFrom) {
    case 'field':
      return redirect.port;
    case 'scheme':
      return defaultPort(scheme);
    case 'listener':
      return request.port;
    case 'request':
      return portOfAuthority(request.authority);
  }
}
