import t from 'tap';
import { renderJson } from '../../../src/cli/view/json.js';
import { compileTemplate } from '../../../src/cli/view/template.js';

const fields = ['name', 'cid', 'labels'] as const;
const vm = { name: 'web1', cid: null, labels: { tier: 'web', 'a.b': 'dotted' } };
const show = (text: string) => compileTemplate(text, fields)(vm);

t.test('a template puts fields into text', async (t) => {
  t.equal(show('{{.name}}'), 'web1');
  t.equal(show('a {{ .name }}\\t{{.cid}}\\n'), 'a web1\t-\n');
  t.equal(show('{{.labels.tier}} {{.labels.a.b}} [{{.labels.none}}]'), 'web dotted []');
  t.equal(show('{{.labels}}'), '{"tier":"web","a.b":"dotted"}');
  t.equal(show('\\\\n {x}'), '\\n {x}');
  t.equal(compileTemplate('{{.name}}', fields)({ ...vm, name: 'a\nb' }), 'a\\nb');
  t.equal(show('{{.labels.constructor}}'), '');
});

t.test('a field that there is not is wrong usage', async (t) => {
  for (const text of ['{{.nam}}', '{{name}}', '{{}}', '{{.name', '{{.a b}}']) {
    t.throws(() => compileTemplate(text, fields), { name: 'UsageError' }, text);
  }
  t.throws(() => compileTemplate('{{.nam}}', fields), {
    message: "no field 'nam' (the fields are name, cid, labels)",
    hint: "did you mean 'name'?",
  });
});

t.test('JSON has numbers of 64 bits as strings and no control characters', async (t) => {
  t.equal(renderJson({ a: 2n ** 64n - 1n }, false), '{"a":"18446744073709551615"}\n');
  t.equal(renderJson(['\u009b\u007f\u001b\u2028'], false), '["\\u009b\\u007f\\u001b\\u2028"]\n');
  t.equal(renderJson(undefined, false), 'null\n');
});
