// SPDX-License-Identifier: Apache-2.0
// One way that access lines go: who they are for, by which format, and which requests they are made of.
import type { AccessLogging } from '#lib/mesh/http/telemetry.ts';
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { LogFormat } from '../control.ts';
import type { Attribute } from '../export/record.ts';
import type { RequestRecord } from '../record/request.ts';
import { requestLine } from './access-line.ts';
import { compileCel, holds } from './cel.ts';
import { compileFormat, type LogFacts, type LogField, type LogSubject } from './log-fields.ts';

export interface AccessLogger {
  /** Name of the provider; '' is standard output. */
  readonly to: string;
  /** Headers of answers that its lines tell. */
  readonly responseHeaders: readonly string[];
  wants(record: RequestRecord): boolean;
  /** With its newline, unless it is for a collector. */
  line(record: RequestRecord, now: number): string;
  /** What else is told to a collector. */
  attributes(record: RequestRecord, now: number): readonly Attribute[];
}

const STANDARD_OUTPUT = '/dev/stdout';
const NO_HEADERS: readonly string[] = [];
const NO_ATTRIBUTES: readonly Attribute[] = [];

/** The proxy's own, where nothing is configured. */
export function standardLogger(format: LogFormat): AccessLogger {
  return {
    to: '',
    responseHeaders: NO_HEADERS,
    wants: () => true,
    line: (record, now) => requestLine(record, record.origin, format, now),
    attributes: () => NO_ATTRIBUTES,
  };
}

/** undefined for a provider that takes no lines. A filter that cannot be read is told of, and lets all lines through. */
export function loggerOf(
  { filter }: AccessLogging,
  provider: Provider,
  facts: LogFacts,
  complain: (message: string) => void,
): AccessLogger | undefined {
  if (provider.kind !== 'file-log' && provider.kind !== 'otlp-log') return undefined;
  const read = filter === '' ? undefined : compileCel(filter);
  if (read?.ok === false) complain(read.problems.map(({ message }) => message).join(', '));
  const expression = read?.ok === true ? read.value : undefined;
  const isFile = provider.kind === 'file-log';
  const writer = isFile ? fileWriter(provider, facts) : recordWriter(provider, facts);
  return {
    to: isFile && (provider.path === '' || provider.path === STANDARD_OUTPUT) ? '' : provider.name,
    wants: expression === undefined ? () => true : (record) => holds(expression, record),
    ...writer,
  };
}

type Writer = Pick<AccessLogger, 'line' | 'attributes' | 'responseHeaders'>;

function fileWriter({ format, json, jsonFields }: Provider, facts: LogFacts): Writer {
  if (Object.keys(jsonFields).length > 0) {
    const { responseHeaders, values } = compileFields(jsonFields, facts);
    return {
      responseHeaders,
      line: (record, now) => `${JSON.stringify(Object.fromEntries(values({ record, now })))}\n`,
      attributes: () => NO_ATTRIBUTES,
    };
  }
  if (format === '') return standardLogger(json ? 'json' : 'text');
  const { fields, responseHeaders } = compileFormat(format.endsWith('\n') ? format : `${format}\n`, facts);
  return {
    responseHeaders,
    line: (record, now) => textOf(fields, { record, now }),
    attributes: () => NO_ATTRIBUTES,
  };
}

function recordWriter({ format, jsonFields }: Provider, facts: LogFacts): Writer {
  const text = format === '' ? undefined : compileFormat(format, facts);
  const { responseHeaders, values } = compileFields(jsonFields, facts);
  return {
    responseHeaders: [...responseHeaders, ...(text?.responseHeaders ?? NO_HEADERS)],
    line: (record, now) =>
      text === undefined
        ? requestLine(record, record.origin, 'text', now).trimEnd()
        : textOf(text.fields, { record, now }),
    attributes: (record, now) => values({ record, now }).map(([key, value]): Attribute => [key, value ?? '']),
  };
}

function textOf(fields: readonly (string | LogField)[], subject: LogSubject): string {
  let line = '';
  for (const field of fields) line += typeof field === 'string' ? field : oneLine(field(subject));
  return line;
}

/** A value must not make two lines of one. */
function oneLine(value: string | number): string {
  if (value === '') return '-';
  const text = String(value);
  return /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, ' ') : text;
}

/** A field that is one command keeps its number, and is null where there is nothing to say. */
function compileFields(
  jsonFields: Readonly<Record<string, string>>,
  facts: LogFacts,
): {
  readonly responseHeaders: readonly string[];
  readonly values: (subject: LogSubject) => (readonly [string, string | number | null])[];
} {
  const compiled = Object.entries(jsonFields).map(([key, format]) => [key, compileFormat(format, facts)] as const);
  return {
    responseHeaders: compiled.flatMap(([, { responseHeaders }]) => responseHeaders),
    values: (subject) =>
      compiled.map(([key, { fields }]) => {
        const [only] = fields;
        if (fields.length !== 1 || typeof only !== 'function') return [key, textOf(fields, subject)];
        const value = only(subject);
        return [key, value === '' ? null : value];
      }),
  };
}
