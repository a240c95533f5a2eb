exports.handler = async ({ customer }) => customer !== "new";
