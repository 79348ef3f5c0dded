// SPDX-License-Identifier: Apache-2.0
// Reads and decodes request bodies: JSON or YAML, bounded.
import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { isObject, type Json, type JsonObject } from '../json.ts';
import { badRequest, tooLarge, unsupportedMedia } from '../status.ts';

/** As in a real API server; the largest CRDs are under 2 MiB. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024;

export async function readBytes(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge(MAX_BODY_BYTES);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Media type of a header, without parameters. */
export const mediaType = (header: string | undefined): string => (header ?? '').split(';')[0]!.trim().toLowerCase();

/** A JSON or YAML document; what starts like JSON is read as JSON, which is much faster. */
export function decodeDocument(text: string): Json {
  try {
    return /^\s*[[{]/.test(text) ? (JSON.parse(text) as Json) : (parseYaml(text) as Json);
  } catch (error) {
    throw badRequest(`error decoding the request body: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function decodeObject(text: string, contentType: string): JsonObject {
  const type = mediaType(contentType);
  if (type !== '' && !type.endsWith('json') && !type.endsWith('yaml'))
    throw unsupportedMedia(
      `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml`,
    );
  const value = decodeDocument(text);
  if (!isObject(value)) throw badRequest('the body of the request is no object');
  return value;
}
