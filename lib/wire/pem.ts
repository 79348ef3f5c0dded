// SPDX-License-Identifier: Apache-2.0
// PEM (RFC 7468) blocks to DER and back.

export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY`, … */
  readonly label: string;
  readonly der: Uint8Array;
}

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

/** Every block of `text` in order; text between blocks is comment. */
export function decodePem(text: string): PemBlock[] {
  return [...text.matchAll(BLOCK)].map(([, label, body]) => ({
    label: label!,
    der: new Uint8Array(Buffer.from(body!.replaceAll(/\s/g, ''), 'base64')),
  }));
}

/** The DER of every block called `label`. */
export function pemBlocks(text: string, label: string): Uint8Array[] {
  return decodePem(text).flatMap((block) => (block.label === label ? [block.der] : []));
}

/** One block with its final newline. */
export function encodePem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replaceAll(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}
