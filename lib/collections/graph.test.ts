// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from '#lib/testkit/properties.ts';
import type { Change, Collection, CollectionStats } from './collection.ts';
import { Graph } from './graph.ts';

function fail(collection: string, key: string, error: unknown): never {
  throw new Error(`${collection}/${key}`, { cause: error });
}

interface Pod {
  readonly node: string;
  readonly labels: readonly string[];
}

interface Rule {
  readonly label: string;
  readonly weight: number;
}

/** A small world with every operator in it, each reading several others. */
function world(graph: Graph) {
  const pods = graph.source<Pod>('pods');
  const nodes = graph.source<string>('nodes');
  const rules = graph.source<Rule>('rules');
  const zones = graph.constant('zones', [['n1', 'east']]);
  const live = graph.filter('live', pods, (pod, _key, fetch) => fetch.get(nodes, pod.node) !== 'down');
  const byLabel = graph.index('pods by label', live, (pod) => pod.labels);
  const rulesByLabel = graph.index('rules by label', rules, (rule) => [rule.label]);
  const placed = graph.map('placed', live, (pod, key, fetch) => ({
    key,
    zone: fetch.get(zones, pod.node) ?? 'unknown',
    state: fetch.get(nodes, pod.node) ?? 'missing',
    rules: pod.labels.flatMap((label) => fetch.lookup(rulesByLabel, label).map((rule) => rule.weight)),
  }));
  const heavy = graph.map('heavy', placed, (item) => {
    const total = item.rules.reduce((a, b) => a + b, 0);
    return total > 3 ? total : undefined;
  });
  const members = graph.group('members', byLabel, (list, label) => `${label}:${list.length}`);
  const named = graph.flatMap('named', pods, (pod, key) => pod.labels.map((label) => [label, `${key}@${pod.node}`]));
  const joined = graph.join('joined', members, named, (left, right) => ({ left, right }));
  const united = graph.union<unknown>('united', [heavy, members, named]);
  const summary = graph.map('summary', rules, (rule, _key, fetch) => ({
    all: fetch.all(heavy).size,
    under: fetch.lookup(byLabel, rule.label).length,
  }));
  return { pods, nodes, rules, derived: { live, placed, heavy, members, named, joined, united, summary } };
}

const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const label = fc.constantFrom('x', 'y', 'z');
const pod = fc.record({ node: fc.constantFrom('n1', 'n2', 'n3'), labels: fc.array(label, { maxLength: 3 }) });
const edit = fc.oneof(
  fc.record({ in: fc.constant('pods' as const), key, value: fc.option(pod, { nil: undefined }) }),
  fc.record({
    in: fc.constant('nodes' as const),
    key: fc.constantFrom('n1', 'n2', 'n3'),
    value: fc.option(fc.constantFrom('up', 'down'), { nil: undefined }),
  }),
  fc.record({
    in: fc.constant('rules' as const),
    key,
    value: fc.option(fc.record({ label, weight: fc.nat(4) }), { nil: undefined }),
  }),
  fc.record({ in: fc.constant('relist' as const), entries: fc.array(fc.tuple(key, pod), { maxLength: 4 }) }),
);
type Edit = typeof edit extends fc.Arbitrary<infer E> ? E : never;

function apply(to: ReturnType<typeof world>, one: Edit): void {
  switch (one.in) {
    case 'pods':
      if (one.value === undefined) to.pods.delete(one.key);
      else to.pods.set(one.key, one.value);
      return;
    case 'nodes':
      if (one.value === undefined) to.nodes.delete(one.key);
      else to.nodes.set(one.key, one.value);
      return;
    case 'rules':
      if (one.value === undefined) to.rules.delete(one.key);
      else to.rules.set(one.key, one.value);
      return;
    case 'relist':
      to.pods.replace(one.entries);
  }
}

function sorted(collection: Collection<unknown>): [string, unknown][] {
  return [...collection.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
}

test('every collection equals its computation from scratch after any edits', () => {
  fc.assert(
    fc.property(fc.array(fc.array(edit, { maxLength: 5 }), { maxLength: 12 }), (batches) => {
      const graph = new Graph(fail);
      const live = world(graph);
      const heard = new Map<string, Map<string, unknown>>();
      for (const [name, collection] of Object.entries(live.derived)) {
        const copy = new Map<string, unknown>();
        heard.set(name, copy);
        (collection as Collection<unknown>).subscribe((changes) => {
          for (const change of changes) {
            assert.deepEqual(copy.get(change.key), change.before, 'a change starts from what was told before');
            if (change.after === undefined) copy.delete(change.key);
            else copy.set(change.key, change.after);
          }
        });
      }
      for (const edits of batches) {
        graph.batch(() => {
          for (const one of edits) apply(live, one);
        });
        const fresh = world(new Graph(fail));
        for (const source of ['pods', 'nodes', 'rules'] as const) {
          (fresh[source] as { replace(entries: Iterable<[string, unknown]>): void }).replace(live[source].entries());
        }
        for (const name of Object.keys(live.derived) as (keyof typeof live.derived)[]) {
          assert.deepEqual(sorted(live.derived[name]), sorted(fresh.derived[name]), name);
          const told = [...heard.get(name)!].sort(([a], [b]) => (a < b ? -1 : 1));
          assert.deepEqual(told, sorted(fresh.derived[name]), `${name}, as listeners know it`);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('collections may be created after the data', () => {
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 20 }), (edits) => {
      const early = world(new Graph(fail));
      for (const one of edits) apply(early, one);
      const graph = new Graph(fail);
      const pods = graph.source<Pod>('pods');
      pods.replace(early.pods.entries());
      const byLabel = graph.index('by label', pods, (one) => one.labels);
      const counted = graph.group('counted', byLabel, (list) => list.length);
      const again = graph.map('again', counted, (count) => count * 2);
      const want = new Map<string, number>();
      for (const [, one] of early.pods.entries()) {
        for (const l of new Set(one.labels)) want.set(l, (want.get(l) ?? 0) + 2);
      }
      assert.deepEqual(
        sorted(again),
        [...want].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    }),
  );
});

function computed(stats: CollectionStats[]): Record<string, number> {
  return Object.fromEntries(stats.map((one) => [one.name, one.computed]));
}

function work(graph: Graph, change: () => void): Record<string, number> {
  const before = computed(graph.stats());
  change();
  const after = computed(graph.stats());
  return Object.fromEntries(
    Object.keys(after)
      .map((name) => [name, after[name]! - before[name]!] as const)
      .filter(([, count]) => count > 0),
  );
}

test('one change computes what depends on it and nothing else', () => {
  const graph = new Graph(fail);
  const { pods, nodes, rules } = world(graph);
  graph.batch(() => {
    for (let i = 0; i < 100; i++) pods.set(`p${i}`, { node: `n${i % 3}`, labels: [`l${i}`] });
    rules.set('r', { label: 'l7', weight: 1 });
    nodes.set('n9', 'up');
  });
  assert.deepEqual(
    work(graph, () => rules.set('r', { label: 'l7', weight: 2 })),
    { placed: 1, heavy: 1, summary: 1 },
    'a rule touches the pods with its label',
  );
  assert.deepEqual(
    work(graph, () => nodes.set('n9', 'down')),
    {},
    'a node without pods touches nothing',
  );
  assert.deepEqual(
    work(graph, () => pods.set('p1', { node: 'n1', labels: ['l1'] })),
    { live: 1, placed: 1, members: 1, named: 1 },
    'a result that stays equal ends the propagation',
  );
  const batched = work(graph, () =>
    graph.batch(() => {
      for (let i = 0; i < 10; i++) pods.set('p1', { node: 'n1', labels: [`l${i}`] });
    }),
  );
  assert.equal(batched['placed'], 1, 'a batch computes an item once');
});

test('what an item no longer reads no longer wakes it', () => {
  const graph = new Graph(fail);
  const switches = graph.source<string>('switches');
  const values = graph.source<number>('values');
  const read = graph.map('read', switches, (from, _key, fetch) => fetch.get(values, from) ?? -1);
  graph.batch(() => {
    switches.set('s', 'a');
    values.set('a', 1);
    values.set('b', 2);
  });
  assert.equal(read.get('s'), 1);
  switches.set('s', 'b');
  assert.equal(read.get('s'), 2);
  assert.deepEqual(
    work(graph, () => values.set('a', 9)),
    {},
  );
  assert.deepEqual(
    work(graph, () => values.set('b', 3)),
    { read: 1 },
  );
  assert.equal(read.get('s'), 3);
});

test('an item that put out nothing is computed again when what it missed appears', () => {
  const graph = new Graph(fail);
  const wants = graph.source<string>('wants');
  const has = graph.source<number>('has');
  const found = graph.map('found', wants, (name, _key, fetch) => fetch.get(has, name));
  wants.set('w', 'later');
  assert.equal(found.get('w'), undefined);
  has.set('later', 5);
  assert.equal(found.get('w'), 5);
});

test('deleting everything leaves no dependency behind', () => {
  const graph = new Graph(fail);
  const live = world(graph);
  for (const k of ['a', 'b', 'c']) {
    live.pods.set(k, { node: 'n1', labels: ['x', 'y'] });
    live.rules.set(k, { label: 'x', weight: 2 });
  }
  live.pods.replace([]);
  live.rules.replace([]);
  for (const collection of Object.values(live.derived)) assert.equal(collection.size, 0);
  const watched = live.nodes as unknown as { watchers: { size: number } };
  assert.equal(watched.watchers.size, 0);
});

test('a snapshot stays as it was', () => {
  const graph = new Graph(fail);
  const source = graph.source<number>('s');
  source.set('a', 1);
  const before = source.snapshot();
  source.set('a', 2);
  source.set('b', 3);
  assert.deepEqual([...before], [['a', 1]]);
  assert.deepEqual([...source.snapshot()].length, 2);
});

test('a listener hears once a batch, and what it edits is told next', () => {
  const graph = new Graph(fail);
  const source = graph.source<number>('s');
  const doubled = graph.map('doubled', source, (n) => n * 2);
  const rounds: (readonly Change<number>[])[] = [];
  const stop = doubled.subscribe((changes) => {
    rounds.push(changes);
    if (rounds.length === 1) source.set('again', 10);
  });
  graph.batch(() => {
    source.set('a', 1);
    source.set('b', 2);
    source.set('gone', 3);
    source.delete('gone');
  });
  assert.deepEqual(
    rounds.map((round) => round.map((change) => [change.key, change.after])),
    [
      [
        ['a', 2],
        ['b', 4],
      ],
      [['again', 20]],
    ],
  );
  stop();
  source.set('c', 1);
  assert.equal(rounds.length, 2);
});

test('a function that throws is reported and its last value kept until its input is right again', () => {
  const errors: string[] = [];
  const graph = new Graph((collection, k) => errors.push(`${collection}/${k}`));
  const source = graph.source<number>('s');
  const roots = graph.map('roots', source, (n) => {
    if (n < 0) throw new Error('negative');
    return Math.sqrt(n);
  });
  source.set('a', 4);
  source.set('a', -1);
  assert.deepEqual([errors, roots.get('a')], [['roots/a'], 2]);
  source.set('a', 9);
  assert.equal(roots.get('a'), 3);
});

test('a listener that throws hides the change from nobody else', () => {
  const errors: string[] = [];
  const graph = new Graph((collection, k) => errors.push(`${collection}/${k}`));
  const source = graph.source<number>('s');
  let heard = 0;
  source.subscribe(() => {
    throw new Error('mine');
  });
  source.subscribe(() => heard++);
  source.set('a', 1);
  assert.deepEqual([errors, heard], [['s/listener'], 1]);
});

test('reading a younger collection, or editing while computing, is refused with a reason', () => {
  const errors: unknown[] = [];
  const graph = new Graph((_collection, _key, error) => errors.push(error));
  const source = graph.source<number>('s');
  const holder: { late?: Collection<number> } = {};
  graph.map('early', source, (n, _key, fetch) => (holder.late ? fetch.get(holder.late, 'x') : n));
  holder.late = graph.source<number>('late');
  source.set('a', 1);
  assert.match(String(errors[0]), /early reads late, which was created after it/);
  const other = new Graph((_collection, _key, error) => errors.push(error));
  const edited = other.source<number>('e');
  other.map('editor', edited, (n) => {
    edited.set('b', n);
    return n;
  });
  edited.set('a', 1);
  assert.match(String(errors[1]), /edited a source/);
});

test('the graph tells of each collection what it is made from and what its items read', () => {
  const graph = new Graph(fail);
  const { pods, rules } = world(graph);
  graph.batch(() => {
    pods.set('a', { node: 'n1', labels: ['x'] });
    rules.set('r', { label: 'x', weight: 5 });
  });
  const told = new Map(graph.describe().map((one) => [one.name, one]));
  assert.deepEqual([...told].map(([name, { kind }]) => `${name}: ${kind}`).slice(0, 6), [
    'pods: source',
    'nodes: source',
    'rules: source',
    'zones: constant',
    'live: derived',
    'pods by label: index',
  ]);
  assert.deepEqual(told.get('placed'), {
    name: 'placed',
    kind: 'derived',
    size: 1,
    computed: 1,
    changed: 1,
    inputs: ['live'],
    reads: ['nodes', 'rules by label'],
  });
  assert.deepEqual([told.get('pods by label')?.inputs, told.get('pods by label')?.size], [['live'], 1]);
  assert.deepEqual(told.get('united')?.inputs, ['heavy', 'members', 'named']);
});
