exports.handler = async ({ image, width }) => `${image}-${width}.png`;
