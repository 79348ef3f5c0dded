// SPDX-License-Identifier: Apache-2.0
// A caller behind a gateway that ends its TLS: the gateway says by a header whose certificate it has verified
// (x-forwarded-client-cert, as Envoy writes it). It is believed from the addresses that are set, and from nobody else;
// and of several certificates the last one counts, which is the gateway's own word: those before it are its client's.

import { BlockList, isIP } from 'node:net';
import { parseIdentity } from '#lib/mesh/identity.ts';
import type { Authentication, Forwarded } from './caller.ts';

export const FORWARDED_CERTIFICATE = 'x-forwarded-client-cert';

export class ForwardedCertificates {
  readonly #trusted = new BlockList();
  readonly #trustDomains: () => readonly string[];

  /**
   * @param ranges addresses and CIDR ranges of gateways, valid ones
   * @param trustDomains the mesh's own and its aliases
   */
  constructor(ranges: readonly string[], trustDomains: () => readonly string[]) {
    this.#trustDomains = trustDomains;
    for (const range of ranges) {
      const [address = '', length] = range.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      this.#trusted.addSubnet(address, Number(length ?? (family === 'ipv6' ? 128 : 32)), family);
    }
  }

  /** Undefined when nothing is claimed. */
  judge({ header, remote }: Forwarded): Authentication | undefined {
    if (header === '') return undefined;
    const unknown = (reason: string): Authentication => ({ kind: 'unknown', reason });
    const address = addressOf(remote);
    if (!this.#trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) {
      return unknown(`${address} is no gateway that may forward certificates`);
    }
    const uris = urisOf(header);
    const identity = uris.length === 1 ? parseIdentity(uris[0]!) : undefined;
    if (identity === undefined) return unknown('the certificate that was forwarded has no single identity of a mesh');
    if (!this.#trustDomains().includes(identity.trustDomain)) {
      return unknown(`the certificate that was forwarded is for ${identity.uri}, of another trust domain`);
    }
    return { kind: 'known', caller: { identity, pod: undefined } };
  }
}

/** Whether a text is an address or a range. */
export function isRange(text: string): boolean {
  const [address = '', length, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (family === 6 ? 128 : 32));
}

/** `10.0.0.1:80`, `[::1]:80`, `::ffff:10.0.0.1:80`. */
function addressOf(remote: string): string {
  const address = remote.slice(0, Math.max(0, remote.lastIndexOf(':'))).replace(/^\[|\]$/g, '');
  const mapped = address.replace(/^::ffff:/i, '');
  return isIP(mapped) === 4 ? mapped : address;
}

/** Names of the last certificate of the header. */
function urisOf(header: string): string[] {
  const last = split(header, ',').at(-1) ?? '';
  return split(last, ';').flatMap((pair) => {
    const at = pair.indexOf('=');
    if (pair.slice(0, at).trim().toLowerCase() !== 'uri') return [];
    return [
      pair
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1'),
    ];
  });
}

/** By a character that stands in no quotes. */
function split(text: string, by: string): string[] {
  const parts = [''];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quoted && char === '\\') parts[parts.length - 1] += char + (text[++i] ?? '');
    else if (!quoted && char === by) parts.push('');
    else {
      if (char === '"') quoted = !quoted;
      parts[parts.length - 1] += char;
    }
  }
  return parts;
}
