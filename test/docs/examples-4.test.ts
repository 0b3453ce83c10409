import t from 'tap';
import { runExamples } from './run-examples.js';

await runExamples(t, 3, 4);
