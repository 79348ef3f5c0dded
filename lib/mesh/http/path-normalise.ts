// SPDX-License-Identifier: Apache-2.0
//
// One way to write a path, before anything is matched: what a policy denies must not be reachable by another spelling
// (RFC 3986 section 6.2.2). Dots are resolved, `\` is `/`, and by setting slashes are merged and escaped ones decoded.
// The query stays as it is.

import { pathLength } from './request.ts';
import type { PathNormalisation } from './waypoint.ts';

const SLASH = 47;
const BACKSLASH = 92;
const DOT = 46;
const PERCENT = 37;

/** Whether a path could change; most cannot, and are passed on as they are. */
function isPlain(path: string, length: number): boolean {
  for (let i = 1; i < length; i++) {
    const code = path.charCodeAt(i);
    if (code === BACKSLASH || code === PERCENT) return false;
    if ((code === DOT || code === SLASH) && path.charCodeAt(i - 1) === SLASH) return false;
  }
  return true;
}

/**
 * The path as routes and policies see it, and as it is sent on.
 * @param path with its query, `*` of OPTIONS included
 * @returns undefined when there is no safe reading of it, which is answered 400
 */
export function normalisePath(path: string, how: PathNormalisation): string | undefined {
  if (path === '*') return path;
  if (path.charCodeAt(0) !== SLASH) return undefined;
  if (path.includes('#')) return undefined;
  if (how === 'none') return path;
  const length = pathLength(path);
  if (isPlain(path, length)) return path;
  const query = path.slice(length);
  let text = path.slice(0, length).replaceAll('\\', '/');
  // A dot is a dot in either spelling; a NUL in any ends what some readers read.
  if (/%00/.test(text)) return undefined;
  text = text.replaceAll(/%2e/gi, '.');
  if (how === 'decode-and-merge-slashes') text = text.replaceAll(/%2f|%5c/gi, '/');
  if (how !== 'base') text = text.replaceAll(/\/{2,}/g, '/');
  return withoutDots(text) + query;
}

/** RFC 3986 section 5.2.4; empty elements count, and nothing lies above the root. */
function withoutDots(path: string): string {
  const out: string[] = [];
  const elements = path.split('/').slice(1);
  elements.forEach((element, i) => {
    const last = i === elements.length - 1;
    if (element === '..') out.pop();
    if (element !== '.' && element !== '..') out.push(element);
    else if (last) out.push('');
  });
  return `/${out.join('/')}`;
}
