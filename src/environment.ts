/** The one file that reads the environment. Everything else takes it as an argument. */

/** Variables of the process, as of now. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. */
export const environment = (): Environment => process.env;
