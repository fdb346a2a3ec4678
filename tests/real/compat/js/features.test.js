'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { ditto, freshId, http, madeThing, rejected } = require('./node');

const client = http();
const feature = (id, more) => ditto.Feature.fromObject(more, id);

test('features are put, patched, read and deleted', async () => {
  const id = await madeThing(client, freshId('features'));
  const features = client.getFeaturesHandle(id);
  const two = ditto.Features.fromObject({ lamp: { properties: { on: true } }, fan: { properties: { rpm: 9 } } });
  assert.equal((await features.putFeatures(two)).status, 201);
  assert.deepEqual(Object.keys(await features.getFeatures()).sort(), ['fan', 'lamp']);
  assert.equal((await features.patchFeatures(ditto.Features.fromObject({ fan: { properties: { rpm: 10 } } }))).status, 204);
  assert.equal(await features.getProperty('fan', 'rpm'), 10);
  assert.equal((await features.putFeature(feature('door', { properties: { open: false } }))).status, 201);
  assert.equal((await features.patchFeature(feature('door', { properties: { open: true } }))).status, 204);
  assert.equal((await features.getFeature('door')).properties.open, true);
  assert.equal((await features.deleteFeature('door')).status, 204);
  assert.equal((await rejected(features.getFeature('door'))).error, 'things:feature.notfound');
  assert.equal((await features.deleteFeatures()).status, 204);
  assert.equal((await rejected(features.getFeatures())).error, 'things:features.notfound');
});

test('the definition of a feature is set, read and deleted', async () => {
  const id = await madeThing(client, freshId('definition'), { features: { lamp: {} } });
  const features = client.getFeaturesHandle(id);
  assert.equal((await features.putDefinition('lamp', ['org.example:lamp:1.0'])).status, 201);
  assert.deepEqual(await features.getDefinition('lamp'), ['org.example:lamp:1.0']);
  assert.equal((await features.patchDefinition('lamp', ['org.example:lamp:2.0'])).status, 204);
  assert.equal((await features.deleteDefinition('lamp')).status, 204);
  assert.equal((await rejected(features.getDefinition('lamp'))).error, 'things:feature.definition.notfound');
});

test('properties are set, patched, read and deleted at any depth', async () => {
  const id = await madeThing(client, freshId('properties'), { features: { lamp: {} } });
  const features = client.getFeaturesHandle(id);
  assert.equal((await features.putProperties('lamp', { colour: { r: 1 } })).status, 201);
  assert.equal((await features.putProperty('lamp', 'colour/g', 2)).status, 201);
  assert.equal((await features.patchProperty('lamp', 'colour/g', 3)).status, 204);
  assert.equal((await features.patchProperties('lamp', { colour: { r: null } })).status, 204);
  assert.deepEqual(await features.getProperties('lamp'), { colour: { g: 3 } });
  const options = ditto.DefaultFieldsOptions.getInstance().withFields('colour/g');
  assert.deepEqual(await features.getProperties('lamp', options), { colour: { g: 3 } });
  assert.equal((await features.deleteProperty('lamp', 'colour/g')).status, 204);
  assert.equal((await rejected(features.getProperty('lamp', 'colour/g'))).error, 'things:feature.property.notfound');
  assert.equal((await features.deleteProperties('lamp')).status, 204);
  assert.equal((await rejected(features.getProperties('lamp'))).error, 'things:feature.properties.notfound');
});
