// SPDX-License-Identifier: Apache-2.0
//
// Who a client is behind proxies that are trusted to say so: an address of X-Forwarded-For, counted from its end, where
// the nearest proxy wrote. What a client itself may have put before that is not looked at.

import { type Ip, parseIp } from '../ip.ts';

/**
 * @param value of X-Forwarded-For, all its lines joined by commas
 * @param skip addresses at the end that are proxies' own
 * @returns undefined when there are not so many, or what stands there is no address
 */
export function forwardedFor(value: string | undefined, skip: number): Ip | undefined {
  if (value === undefined) return undefined;
  let end = value.length;
  for (let i = 0; i < skip; i++) {
    end = value.lastIndexOf(',', end - 1);
    if (end < 0) return undefined;
  }
  const text = value.slice(value.lastIndexOf(',', end - 1) + 1, end).trim();
  return parseIp(text) ?? parseIp(withoutPort(text));
}

/** `1.2.3.4:80` and `[::1]:80`, as some proxies write them. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text);
  if (bracketed !== null) return bracketed[1]!;
  return /^[\d.]+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text;
}
