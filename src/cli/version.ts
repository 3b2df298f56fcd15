/** That of package.json; a test compares the two. */
export const version = "0.1.0";

/** How hostlet calls itself towards an API server. */
export const userAgent = `hostlet/${version} (${process.platform}/${process.arch})`;
