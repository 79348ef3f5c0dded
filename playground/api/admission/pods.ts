// SPDX-License-Identifier: Apache-2.0
// What a cluster adds to every new pod: its service account with a projected token, tolerations for nodes that are not
// ready, its priority, its quality-of-service class. Source: Kubernetes documentation, "Admission Controllers".
import type { Clock } from '#lib/kit/clock.ts';
import {
  ensureObject,
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  numberAt,
  objectAt,
  textAt,
} from '../json.ts';
import { qosClass } from '../kinds/pod-defaults.ts';
import { generateName } from '../registry/write.ts';
import { forbidden } from '../status.ts';
import type { Store } from '../store/store.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

const MOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** An hour and 7 s: what kubelets refresh well before it ends. */
const TOKEN_SECONDS = 3607;
const FILE_MODE = 0o644;
const TOLERATION_SECONDS = 300;
/** As long as a real server tries. */
const ACCOUNT_WAIT_MS = 1000;
const PODS = { group: '', resource: 'pods' };

export class PodAdmission implements AdmissionPlugin {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async mutate({ target, operation, object }: AdmissionRequest): Promise<void> {
    if (operation !== 'CREATE' || target.resource.storage !== 'pods' || !object || target.subresource !== '') return;
    const spec = ensureObject(object, 'spec');
    await this.#serviceAccount(object, spec);
    this.#priority(object, spec);
    tolerate(spec);
    ensureObject(object, 'status')['qosClass'] = qosClass(spec);
  }

  async #serviceAccount(pod: KubeObject, spec: JsonObject): Promise<void> {
    const name = textAt(spec, 'serviceAccountName') || 'default';
    const namespace = pod.metadata.namespace ?? '';
    const account = await this.#account(namespace, name);
    if (!account)
      throw forbidden(
        PODS,
        pod.metadata.name ?? '',
        `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`,
      );
    spec['serviceAccountName'] = name;
    spec['serviceAccount'] = name;
    if (spec['imagePullSecrets'] === undefined && listAt(account, 'imagePullSecrets').length > 0)
      spec['imagePullSecrets'] = listAt(account, 'imagePullSecrets');
    const wanted = spec['automountServiceAccountToken'] ?? account['automountServiceAccountToken'] ?? true;
    if (wanted === true) mountToken(spec);
  }

  /** The account; one that a controller is about to make (in a new namespace) is waited for a moment. */
  #account(namespace: string, name: string): Promise<KubeObject | undefined> | KubeObject | undefined {
    const accounts = this.#store.collection('serviceaccounts');
    const found = accounts.get(namespace, name)?.object;
    if (found) return found;
    return new Promise((resolve) => {
      const done = (object: KubeObject | undefined): void => {
        cancel();
        stop();
        resolve(object);
      };
      const cancel = this.#clock.after(ACCOUNT_WAIT_MS, () => done(undefined));
      const stop = accounts.listen(({ type, entry }) => {
        if (type === 'ADDED' && entry.namespace === namespace && entry.name === name) done(entry.object);
      });
    });
  }

  #priority(pod: KubeObject, spec: JsonObject): void {
    const name = textAt(spec, 'priorityClassName');
    const classes = this.#store.collection('priorityclasses.scheduling.k8s.io');
    const found = name
      ? classes.get('', name)?.object
      : classes.list().find((entry) => entry.object['globalDefault'] === true)?.object;
    if (name && !found) throw forbidden(PODS, pod.metadata.name ?? '', `no PriorityClass with name ${name} was found`);
    if (!name && found) spec['priorityClassName'] = found.metadata.name ?? '';
    spec['priority'] = numberAt(found, 'value') ?? 0;
    spec['preemptionPolicy'] ??= textAt(found, 'preemptionPolicy') ?? 'PreemptLowerPriority';
  }
}

function mountToken(spec: JsonObject): void {
  const containers = [...listAt(spec, 'initContainers'), ...listAt(spec, 'containers')].filter(isObject);
  const without = containers.filter(
    (container) => !listAt(container, 'volumeMounts').some((mount) => textAt(mount, 'mountPath') === MOUNT),
  );
  if (without.length === 0) return;
  const name = generateName('kube-api-access-');
  for (const container of without)
    container['volumeMounts'] = [...listAt(container, 'volumeMounts'), { name, readOnly: true, mountPath: MOUNT }];
  const volume: Json = {
    name,
    projected: {
      defaultMode: FILE_MODE,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  };
  spec['volumes'] = [...listAt(spec, 'volumes'), volume];
}

function tolerate(spec: JsonObject): void {
  const present = listAt(spec, 'tolerations');
  const tolerates = (key: string): boolean =>
    present.some((item) => {
      const toleration = objectAt(item);
      const own = toleration['key'] ?? '';
      return (own === key || own === '') && (toleration['effect'] ?? 'NoExecute') === 'NoExecute';
    });
  const missing = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'].filter((key) => !tolerates(key));
  if (missing.length > 0)
    spec['tolerations'] = [
      ...present,
      ...missing.map((key) => ({
        key,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: TOLERATION_SECONDS,
      })),
    ];
}
