/** The version of vmmctl, put in by the build from package.json. */
declare const __VMMCTL_VERSION__: string | undefined;

export const VERSION: string =
  typeof __VMMCTL_VERSION__ === 'string' ? __VMMCTL_VERSION__ : '0.0.0-unbuilt';
