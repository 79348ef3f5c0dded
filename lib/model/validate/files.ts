// SPDX-License-Identifier: Apache-2.0
//
// `ambit validate FILES`, without the files: texts in, problems out. Every object is judged by itself, then all of
// them together by the model istiod runs, so that offline and on the cluster the same is said. What an object refers
// to may be on the cluster only; it is missed here when the texts hold others of its kind beside it.

import { Graph } from '#lib/collections/graph.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { createInputs, INPUT_KINDS, putObject } from '../inputs.ts';
import { DEFAULT_SETTINGS, type MeshSettings } from '../mesh-settings.ts';
import { createModel } from '../model.ts';
import { type KubeObject, keyOf, type Meta, namespaceOf } from '../object/object.ts';
import { CLUSTER_SCOPED, type ParsedObject, parseDocuments, type SourceText, type TextPlace } from './documents.ts';
import { validateObject } from './object.ts';
import { describeObject, type ObjectProblem, type ProblemCode, type Severity } from './problem.ts';
import { SchemaChecker } from './schema.ts';

export interface FileProblem extends TextPlace {
  readonly severity: Severity;
  readonly code: ProblemCode | 'Unreadable' | 'DefinedTwice';
  /** '' for text that is no object. */
  readonly object: string;
  readonly field: string;
  readonly message: string;
  readonly fix?: string;
}

export interface Validation {
  /** Objects that were read. */
  readonly objects: number;
  /** In the order of the texts. */
  readonly problems: readonly FileProblem[];
}

/** Kinds whose pods exist before the cluster makes them. */
const TEMPLATED = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job']);

export function validateFiles(texts: readonly SourceText[], settings: MeshSettings = DEFAULT_SETTINGS): Validation {
  const unreadable: FileProblem[] = [];
  const parsed: ParsedObject[] = [];
  for (const text of texts) {
    const { objects, problems } = parseDocuments(text);
    for (const problem of problems)
      unreadable.push({ ...problem, severity: 'error', code: 'Unreadable', object: '', field: '' });
    parsed.push(...objects);
  }
  const { objects, problems } = validateParsed(parsed, settings);
  const order = new Map(texts.map(({ path }, i) => [path, i]));
  return {
    objects,
    problems: [...unreadable, ...problems].sort(
      (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line,
    ),
  };
}

/** The same for objects that have been read already, from texts or from a cluster. */
export function validateParsed(parsed: readonly ParsedObject[], settings: MeshSettings = DEFAULT_SETTINGS): Validation {
  const schemas = new SchemaChecker();
  const problems: FileProblem[] = [];
  const sound: ParsedObject[] = [];
  const firstPlace = new Map<string, TextPlace>();
  for (const one of parsed) {
    const object = placed(one.object);
    const own = validateObject(object, schemas);
    for (const problem of own) problems.push(located(problem, one));
    if (!shaped(object)) continue;
    const name = `${object.apiVersion} ${describeObject(object)}`;
    const before = firstPlace.get(name);
    if (before !== undefined) {
      problems.push({ ...one.placeOf('metadata.name'), ...twice(object, before) });
      continue;
    }
    firstPlace.set(name, one.placeOf(''));
    // The model believes the shape of what it is given, as an API server guarantees it.
    if (!own.some((problem) => problem.code === 'SchemaViolation')) sound.push({ object, placeOf: one.placeOf });
  }
  problems.push(...together(sound, settings, schemas));
  return { objects: parsed.length, problems };
}

function shaped(object: KubeObject): boolean {
  return [object.apiVersion, object.kind, object.metadata?.name].every((part) => typeof part === 'string');
}

/** As kubectl would create it: without a namespace, in `default`. */
function placed(object: KubeObject): KubeObject {
  const kind = typeof object?.kind === 'string' ? object.kind : '';
  const watched = Object.values(INPUT_KINDS).some((one) => one.kind === kind);
  const metadata: Meta | undefined = object?.metadata;
  if (!watched || CLUSTER_SCOPED.has(kind) || typeof metadata !== 'object' || metadata === null) return object ?? {};
  return metadata.namespace === undefined ? { ...object, metadata: { ...metadata, namespace: 'default' } } : object;
}

function located(problem: ObjectProblem, { placeOf }: ParsedObject): FileProblem {
  const { code, field, fix, message, object, severity } = problem;
  return { ...placeOf(field), severity, code, object, field, message, ...(fix !== undefined && { fix }) };
}

function twice(object: KubeObject, before: TextPlace): Omit<FileProblem, keyof TextPlace> {
  return {
    severity: 'error',
    code: 'DefinedTwice',
    object: describeObject(object),
    field: 'metadata.name',
    message: `is defined before, at ${before.file}:${before.line}`,
    fix: 'keep one of them',
  };
}

/** Problems that only show among all objects. */
function together(parsed: readonly ParsedObject[], settings: MeshSettings, schemas: SchemaChecker): FileProblem[] {
  const failures: FileProblem[] = [];
  const graph = new Graph((collection, key, error) => failures.push(unreadable(parsed, collection, key, error)));
  const inputs = createInputs(graph, settings);
  const model = createModel(graph, inputs, schemas);
  const byName = new Map(parsed.map((one) => [describeObject(one.object), one]));
  const present = new Set<string>();
  graph.batch(() => {
    for (const { object } of parsed) {
      putObject(inputs, object);
      present.add(`${object.kind} ${namespaceOf(object)}`);
      const pod = templatePod(object);
      if (pod === undefined) continue;
      putObject(inputs, pod);
      present.add(`Pod ${namespaceOf(pod)}`);
    }
  });
  const found = [...model.reports.values()].flatMap(({ problems }) =>
    problems.flatMap((problem) => {
      const { lookedFor } = problem;
      const source = byName.get(problem.object);
      // Problems of the object alone were told before the model saw it.
      if (lookedFor === undefined || source === undefined) return [];
      return present.has(`${lookedFor.kind} ${lookedFor.namespace}`) ? [located(problem, source)] : [];
    }),
  );
  return [...distinct(failures), ...found];
}

/** Kinds without a schema here may have any shape; an API server would have refused what the model cannot read. */
function unreadable(parsed: readonly ParsedObject[], collection: string, key: string, error: unknown): FileProblem {
  const source = parsed.find(({ object }) => keyOf(object) === key) ?? parsed[0];
  const reason = error instanceof Error ? error.message : String(error);
  return {
    ...(source?.placeOf('') ?? { file: '', line: 1 }),
    severity: 'error',
    code: 'SchemaViolation',
    object: source === undefined ? key : describeObject(source.object),
    field: '',
    message: `cannot be read as ${collection.replace(/ in scope$/, '')}: ${reason}`,
    fix: 'check its fields against the API reference',
  };
}

/** One unreadable field fails several computations; its author needs to hear it once. */
function distinct(failures: readonly FileProblem[]): FileProblem[] {
  return [...new Map(failures.map((one) => [`${one.file}:${one.line}`, one])).values()];
}

/** The pod a Deployment and its like would make, for selectors to find. */
function templatePod(object: KubeObject): KubeObject | undefined {
  if (!TEMPLATED.has(object.kind ?? '')) return undefined;
  const { spec } = object as { readonly spec?: { readonly template?: { readonly metadata?: Partial<Meta> } } };
  const labels = spec?.template?.metadata?.labels;
  if (labels === undefined) return undefined;
  const { name } = object.metadata;
  const namespace = object.metadata.namespace ?? 'default';
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: `${name}-template`, namespace, labels } };
}

/** `FILE:LINE: error: OBJECT: FIELD: MESSAGE; FIX`. */
export function formatFileProblem(problem: FileProblem): string {
  const { field, file, fix, line, message, object, severity } = problem;
  const text = formatProblem({
    field,
    message,
    ...(object !== '' && { object }),
    ...(fix !== undefined && { fix }),
  });
  return `${file}:${line}: ${severity}: ${text}`;
}
