// SPDX-License-Identifier: Apache-2.0
// The question to an authoriser by HTTP: the client's own request, without what the provider does not ask for.
import { questionFields } from '#lib/mesh/http/external-check.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import { HeaderBlock, isFieldValue } from '#lib/wire/h2/headers.ts';
import { PARTIAL_BODY, type Question } from './grpc-check.ts';
import type { HttpSubject } from './subject.ts';

export function httpQuestion({ body, fields, host, method, partial, path }: HttpSubject, provider: Provider): Question {
  const head = HeaderBlock.request(method, 'http', host, `${provider.path}${path}`);
  for (const { name, value } of questionFields(provider, fields)) if (isFieldValue(value)) head.add(name, value);
  if (provider.bodyBytes > 0) head.add(PARTIAL_BODY, String(partial));
  head.add('content-length', String(body.length));
  return { head, body };
}
