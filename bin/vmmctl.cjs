#!/usr/bin/env node
// Starts vmmctl from its bundle.
'use strict';
require('node:module').enableCompileCache?.();
require('../dist/main.cjs').main();
