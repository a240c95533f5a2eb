module.exports.handler = async ({ name, loud = false }) => ({ text: `${process.env.WORD} ${name}`, loud });
