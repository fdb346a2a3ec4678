'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { ditto, freshId, http, policy, rejected } = require('./node');

const policies = http().getPoliciesHandle();
const reader = () => ditto.Entry.fromObject({
  subjects: { 'nginx:reader': { type: 'user' } },
  resources: { 'thing:/attributes': { grant: ['READ'], revoke: [] } },
}, 'reader');

test('a policy is created, read, replaced and deleted', async () => {
  const id = freshId('policy');
  const made = await policies.putPolicy(policy(id));
  assert.equal(made.status, 201);
  assert.equal(made.headers.get('etag'), '"rev:1"');
  const read = await policies.getPolicy(id);
  assert.equal(read.entries.owner.resources['thing:/'].grant.length, 2);
  assert.equal((await policies.putPolicy(policy(id))).status, 204);
  assert.equal((await policies.deletePolicy(id)).status, 204);
  assert.equal((await rejected(policies.getPolicy(id))).error, 'policies:policy.notfound');
});

test('entries, subjects and resources are put, read and deleted', async () => {
  const id = freshId('parts');
  await policies.putPolicy(policy(id));
  assert.equal((await policies.putEntry(id, reader())).status, 201);
  assert.equal((await policies.putEntry(id, reader())).status, 204);
  assert.deepEqual(Object.keys(await policies.getEntries(id)).sort(), ['owner', 'reader']);
  assert.equal((await policies.getEntry(id, 'reader')).subjects['nginx:reader'].type, 'user');

  const friend = ditto.Subject.fromObject({ type: 'friend' }, 'nginx:friend');
  assert.equal((await policies.putSubject(id, 'reader', friend)).status, 201);
  assert.equal((await policies.getSubject(id, 'reader', 'nginx:friend')).type, 'friend');
  assert.deepEqual(Object.keys(await policies.getSubjects(id, 'reader')).sort(), ['nginx:friend', 'nginx:reader']);
  assert.equal((await policies.deleteSubject(id, 'reader', 'nginx:friend')).status, 204);
  assert.equal((await rejected(policies.getSubject(id, 'reader', 'nginx:friend'))).error, 'policies:subject.notfound');
  const one = ditto.Subjects.fromObject({ 'nginx:one': { type: 'x' } });
  assert.equal((await policies.putSubjects(id, 'reader', one)).status, 204);

  const lamp = ditto.Resource.fromObject({ grant: ['READ'], revoke: ['WRITE'] }, 'thing:/features/lamp');
  assert.equal((await policies.putResource(id, 'reader', lamp)).status, 201);
  assert.deepEqual((await policies.getResource(id, 'reader', 'thing:/features/lamp')).revoke, ['WRITE']);
  assert.equal((await policies.deleteResource(id, 'reader', 'thing:/features/lamp')).status, 204);
  assert.deepEqual(Object.keys(await policies.getResources(id, 'reader')), ['thing:/attributes']);
  const all = ditto.Resources.fromObject({ 'thing:/': { grant: ['READ'], revoke: [] } });
  assert.equal((await policies.putResources(id, 'reader', all)).status, 204);

  assert.equal((await policies.deleteEntry(id, 'reader')).status, 204);
  assert.equal((await rejected(policies.getEntry(id, 'reader'))).error, 'policies:entry.notfound');
  assert.equal((await policies.putEntries(id, policy(id).entries)).status, 204);
});

test('a policy without an owner is refused', async () => {
  const id = freshId('lockout');
  const refused = await rejected(policies.putPolicy(new ditto.Policy(id, ditto.Entries.fromObject({ reader: reader() }))));
  assert.equal(refused.status, 403);
});

test('preconditions hold', async () => {
  const id = freshId('match');
  await policies.putPolicy(policy(id));
  const options = ditto.DefaultMatchOptions.getInstance().ifNoneMatchAny();
  assert.equal((await rejected(policies.putPolicy(policy(id), options))).error, 'policies:precondition.failed');
});
