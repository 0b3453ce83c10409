import t from 'tap';
import { runExamples } from './run-examples.js';

await runExamples(t, 1, 4);
