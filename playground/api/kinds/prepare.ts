// SPDX-License-Identifier: Apache-2.0
// What some core kinds get beyond identity when they are first stored, and keep when they are replaced.
import { ensureObject, type KubeObject, objectAt } from '../json.ts';

const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid';
const JOB_NAME = 'batch.kubernetes.io/job-name';

/** A Job's selector and labels come from its own identity, unless it says otherwise. */
function job(object: KubeObject): void {
  const spec = ensureObject(object, 'spec');
  if (spec['manualSelector'] === true) return;
  const { uid = '', name = '' } = object.metadata;
  const labels = ensureObject(ensureObject(ensureObject(spec, 'template'), 'metadata'), 'labels');
  Object.assign(labels, { [CONTROLLER_UID]: uid, [JOB_NAME]: name, 'controller-uid': uid, 'job-name': name });
  spec['selector'] = { matchLabels: { [CONTROLLER_UID]: uid } };
}

export const PREPARE_CREATE: Readonly<Record<string, (object: KubeObject) => void>> = {
  Job: job,
  Namespace: (object) => {
    ensureObject(object, 'spec')['finalizers'] = ['kubernetes'];
  },
  Pod: (object) => {
    object['status'] = { phase: 'Pending' };
  },
  CertificateSigningRequest: (object) => {
    object['status'] = {};
  },
};

export const PREPARE_UPDATE: Readonly<Record<string, (object: KubeObject, before: KubeObject) => void>> = {
  Namespace: (object, before) => {
    const spec = ensureObject(object, 'spec');
    spec['finalizers'] ??= objectAt(before, 'spec')['finalizers'] ?? [];
  },
};
