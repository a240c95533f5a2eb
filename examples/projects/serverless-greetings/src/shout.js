module.exports.handler = async ({ text }) => ({ text: text.toUpperCase() + "!" });
