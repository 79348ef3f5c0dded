// SPDX-License-Identifier: Apache-2.0
//
// Patterns of access policies with operators inside. In a path template `{*}` stands for one element that is not
// empty, `{**}`, the last operator, for any characters including slashes. In a wildcard `*` stands for any characters,
// U+0001 for any but a slash. Both are walked without a regular expression and in time bounded by the product of the
// lengths.

/** Why a template cannot be used; '' when it can. */
export function templateProblem(template: string): string {
  if (!template.startsWith('/')) return 'does not begin with a slash';
  const elements = template.slice(1).split('/');
  let deep = false;
  for (const element of elements) {
    if (deep && (element === '{*}' || element === '{**}')) return 'has an operator after {**}';
    if (element === '{**}') deep = true;
    else if (element !== '{*}' && /[{}*]/.test(element))
      return `has ${element}, where {*} or {**} fill a whole element`;
  }
  return '';
}

export function templateMatches(template: string, path: string): boolean {
  let t = 0;
  let p = 0;
  while (t < template.length) {
    if (template.startsWith('{**}', t)) return endsAfter(template, t + 4, path, p);
    if (template.startsWith('{*}', t)) {
      const from = p;
      while (p < path.length && path.charCodeAt(p) !== 47) p++;
      if (p === from) return false;
      t += 3;
      continue;
    }
    if (p >= path.length || template.charCodeAt(t) !== path.charCodeAt(p)) return false;
    t++;
    p++;
  }
  return p === path.length;
}

/** `{**}` is the last operator: what follows it in the template is literal and ends the path. */
function endsAfter(template: string, from: number, path: string, at: number): boolean {
  const rest = template.slice(from);
  return path.length - at >= rest.length && path.endsWith(rest);
}

/** Stands for any characters but a slash in a wildcard; no value of a policy has it. */
export const NO_SLASH = '\u0001';

export function wildcardMatches(pattern: string, text: string): boolean {
  // Positions of the pattern that a prefix of the text leads to, advanced character by character.
  let states = closure(pattern, new Set([0]));
  for (const c of text) {
    const next = new Set<number>();
    for (const at of states) {
      const p = pattern[at];
      if (p === '*' || (p === NO_SLASH && c !== '/')) next.add(at);
      else if (p === c) next.add(at + 1);
    }
    if (next.size === 0) return false;
    states = closure(pattern, next);
  }
  return states.has(pattern.length);
}

/** Operators may stand for nothing. */
function closure(pattern: string, states: Set<number>): Set<number> {
  for (const at of states) if (pattern[at] === '*' || pattern[at] === NO_SLASH) states.add(at + 1);
  return states;
}
