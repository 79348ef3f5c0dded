// SPDX-License-Identifier: Apache-2.0
// The JSONPath subset of printer columns: `.a.b`, `[0]`, `[*]`, `['a.b']`, `[?(@.type=="Ready")]`, `\.` in names.
import { isObject, type Json } from '../json.ts';

type Step =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'filter'; readonly path: readonly string[]; readonly operator: string; readonly value: string };

const TOKEN =
  /\.((?:\\.|[^.[\\])+)|\[(-?\d+)\]|\[\*\]|\['([^']*)'\]|\[\?\(@\.?([^=!)]*?)\s*(==|!=)\s*["']?([^"')]*)["']?\)\]/y;
const parsed = new Map<string, readonly Step[]>();

/** Every value the path leads to; none when it leads nowhere or cannot be read. */
export function readJsonPath(value: Json, path: string): Json[] {
  let current: Json[] = [value];
  for (const step of parse(path)) current = current.flatMap((item) => advance(item, step));
  return current;
}

function parse(path: string): readonly Step[] {
  const known = parsed.get(path);
  if (known) return known;
  const text = path.replace(/^\{(.*)\}$/s, '$1').replace(/^\$/, '');
  const steps: Step[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text);
    if (!match) break;
    const [whole, name, index, quoted, filterPath, operator, literal] = match;
    if (name !== undefined)
      steps.push(name === '*' ? { kind: 'all' } : { kind: 'name', name: name.replace(/\\(.)/g, '$1') });
    else if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else if (quoted !== undefined) steps.push({ kind: 'name', name: quoted });
    else if (whole === '[*]') steps.push({ kind: 'all' });
    else steps.push({ kind: 'filter', path: filterPath!.split('.'), operator: operator!, value: literal! });
  }
  parsed.set(path, steps);
  return steps;
}

function advance(value: Json, step: Step): Json[] {
  if (step.kind === 'name') return isObject(value) && value[step.name] !== undefined ? [value[step.name]!] : [];
  if (!Array.isArray(value)) return step.kind === 'all' && isObject(value) ? (Object.values(value) as Json[]) : [];
  if (step.kind === 'all') return value;
  if (step.kind === 'index') {
    const found = value.at(step.index);
    return found === undefined ? [] : [found];
  }
  return value.filter((item) => {
    const found = step.path.reduce<Json | undefined>((part, name) => (isObject(part) ? part[name] : undefined), item);
    return (String(found) === step.value) === (step.operator === '==');
  });
}
